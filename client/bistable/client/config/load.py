"""Puts the settings together: defaults, then mender.conf, then the own file, then the drop-ins in their order."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bistable.artifact.errors import quoted
from bistable.client.config.declare import Setting
from bistable.client.config.kinds import WrongValueError
from bistable.client.config.menderconf import MenderConf, read_mender_conf
from bistable.client.config.problems import Found, Origin, line_of, read_text, refuse, unknown
from bistable.client.config.settings import SETTINGS, Settings
from bistable.client.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigPaths:
    """Where configuration is looked for; a file that is not there is no error."""

    own: Path = Path("/etc/bistable/bistable.toml")
    drop_ins: Path = Path("/etc/bistable/conf.d")
    mender: Path = Path("/etc/mender/mender.conf")
    mender_fallback: Path = Path("/var/lib/mender/mender.conf")


_NOWHERE: Final = Path("/nonexistent")
"""Promised by file systems to be no directory. hier(7), passwd(5)"""


def only(path: Path) -> ConfigPaths:
    """Return the paths with which this file alone is read: in the form of mender.conf if its name ends in `.conf`."""
    nothing = _NOWHERE / "nothing"
    if path.suffix == ".conf":
        return ConfigPaths(own=nothing, drop_ins=nothing, mender=path, mender_fallback=nothing)
    return ConfigPaths(own=path, drop_ins=nothing, mender=nothing, mender_fallback=nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings, and what is to be said about them.

    `warnings`: keys that mean nothing and what else is strange. `ignored`: keys of mender.conf that are known, and why
    they mean nothing here. `origins`: setting (`table.key`) -> where it stands; defaults are not in it.
    """

    settings: Settings
    warnings: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)


_TABLES: Final[Mapping[str, Mapping[str, Setting]]] = {
    table: {setting.key: setting for setting in SETTINGS if setting.table == table}
    for table in dict.fromkeys(setting.table for setting in SETTINGS)
}


def load(paths: ConfigPaths | None = None) -> Loaded:
    """Read all configuration files and return the settings.

    Raises:
        ConfigError: a file cannot be read or parsed, or a known key has a value that cannot be. The message names file
            and key and says what is right; it shows no secret.
    """
    paths = paths or ConfigPaths()
    conf = read_mender_conf(paths.mender, paths.mender_fallback)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    _from_mender(conf, values, origins)
    warnings = conf.warnings
    for path in (paths.own, *_drop_ins(paths.drop_ins)):
        warnings += _from_toml(path, values, origins)
    settings = _built(values)
    if settings.slots.a is not None and settings.slots.a == settings.slots.b:
        raise ConfigError(
            f"cannot use {origins['slots.b'].path}: {origins['slots.a'].key} and {origins['slots.b'].key} are the same",
            hint="the two slots are two partitions",
        )
    return Loaded(settings=settings, warnings=tuple(warnings), ignored=tuple(conf.ignored), origins=origins)


def _from_mender(conf: MenderConf, values: dict[str, Any], origins: dict[str, Origin]) -> None:
    for setting in SETTINGS:
        for key in setting.mender:
            found = conf.values.get(key.name)
            # 0 and "" are what the real client has where nothing is said.
            if found is not None and (found.value or found.value is False):
                as_list = isinstance(found.value, str) and setting.kind.many
                value = Found(value=[found.value], origin=found.origin) if as_list else found
                values[setting.name] = _value(setting, value, key.name)
                origins[setting.name] = found.origin


def _drop_ins(directory: Path) -> Iterable[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".toml" and path.name[0] != ".")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as e:
        raise ConfigError(f"cannot read {directory}: {e.strerror or e}") from e


def _from_toml(path: Path, values: dict[str, Any], origins: dict[str, Origin]) -> list[str]:
    """Take the settings out of a file and return warnings about the rest."""
    text = read_text(path)
    if text is None:
        return []
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as e:
        why = f": {e}" if isinstance(e, tomllib.TOMLDecodeError) else ""
        raise ConfigError(f"cannot use {path}: not valid TOML{why}") from e
    warnings = []
    for table, content in tables.items():
        if table not in _TABLES:
            what = f"the table [{table}]" if isinstance(content, dict) else f"the key {quoted(table)} outside any table"
            warnings.append(unknown(path, what, table, _TABLES))
            continue
        if not isinstance(content, dict):
            raise ConfigError(
                f"cannot use {path}: {table} must be a table", hint=f"write [{table}], and its settings below"
            )
        for key, value in content.items():
            setting = _TABLES[table].get(key)
            if setting is None:
                warnings.append(unknown(path, f"[{table}] {key}", key, _TABLES[table]))
                continue
            found = Found(value=value, origin=Origin(path=path, key=f"[{table}] {key}", line=_line(text, table, key)))
            values[setting.name] = _value(setting, found, found.origin.key)
            origins[setting.name] = found.origin
    return warnings


def _value(setting: Setting, found: Found, key: str) -> Any:
    try:
        return setting.kind.read(found.value)
    except WrongValueError:
        refuse(found, key, setting.kind)


def _line(text: str, table: str, key: str) -> int | None:
    """Return the line of a key; the parser does not tell, so this is a guess that is right for what people write."""
    whole = line_of(text, rf"^\s*{re.escape(table)}\s*\.\s*{re.escape(key)}\s*=")
    if whole is not None:
        return whole
    head = re.search(rf"^\s*\[\s*{re.escape(table)}\s*\]", text, re.MULTILINE)
    if head is None:
        return None
    line = line_of(
        re.split(r"^\s*\[", text[head.end() :], maxsplit=1, flags=re.MULTILINE)[0], rf"^\s*{re.escape(key)}\s*="
    )
    return None if line is None else text.count("\n", 0, head.end()) + line


def _built(values: Mapping[str, Any]) -> Settings:
    groups: dict[str, dict[str, Any]] = {}
    for setting in SETTINGS:
        group, attribute = setting.attributes
        if setting.name in values:
            groups.setdefault(group, {})[attribute] = values[setting.name]
    default = Settings()
    return Settings(**{group: type(getattr(default, group))(**content) for group, content in groups.items()})
