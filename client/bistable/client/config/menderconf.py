"""Reads mender.conf as the Mender client does: the main file goes over the fallback file, key by key.

The client in Go takes keys in any case, stops at a value of a wrong type, and takes 0 and "" for "not set"; the one in
C++ takes keys in their exact case and passes over values of a wrong type. Here it is as in Go, with a warning where the
two differ. What they refuse, a key twice over in two forms, is refused.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from bistable.artifact.errors import Where, quoted
from bistable.client.config.declare import Form, MenderKey
from bistable.client.config.problems import Found, Origin, line_of, read_text, unknown
from bistable.client.config.settings import SETTINGS
from bistable.client.errors import ConfigError

IGNORED: Final[Mapping[str, str]] = {
    "Connectivity.DisableKeepAlive": "a connection is used for one artifact only",
    "Connectivity.IdleConnTimeoutSeconds": "a connection is used for one artifact only",
    "DBus.Enabled": "the service is on D-Bus if there is one; `bistabled --bus none` keeps it off",
    "DeviceTier": "devices of all tiers install what is made for them",
    "HttpsClient.SSLEngine": "keys in tokens cannot be used for HTTPS",
    "Security.SSLEngine": "keys in tokens are used by a program of yours: `server.auth-signer`",
    # Of releases before 2.6; the clients since then pass over them in silence.
    "ClientProtocol": "there is one protocol only; Mender has not read this key since 2.6",
    "DeviceKey": "the key's place is fixed; Mender has not read this key since 1.2",
    "HttpsClient.SkipVerify": "Mender has not read this key since 2.4; SkipVerify outside of HttpsClient is read",
}
"""Keys that the real client knows, or knew, and that mean nothing here, each with the reason."""

KEYS: Final[Mapping[str, MenderKey]] = {key.name: key for setting in SETTINGS for key in setting.mender}
NAMES: Final[Mapping[str, str]] = {name.lower(): name for name in [*KEYS, *IGNORED]}
OBJECTS: Final[Mapping[str, str]] = {
    name.partition(".")[0].lower(): name.partition(".")[0] for name in NAMES.values() if "." in name
}
EXCLUSIVE: Final = (("ServerURL", "Servers"), ("ArtifactVerifyKey", "ArtifactVerifyKeys"))
"""Keys of which a file has one or the other."""

_TYPES: Final[Mapping[Form, type]] = {
    Form.TEXT: str,
    Form.NUMBER: int,
    Form.SWITCH: bool,
    Form.TEXTS: list,
    Form.SERVERS: list,
}


@dataclass(slots=True)
class MenderConf:
    """What the files say: the values of keys that mean something, warnings, and what is passed over."""

    values: dict[str, Found] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def read_mender_conf(main: Path, fallback: Path) -> MenderConf:
    """Return what both files say together.

    Raises:
        ConfigError: a file cannot be read, is not a JSON object, or has a value of a wrong type for a known key.
    """
    conf = MenderConf()
    for path in (fallback, main):
        text = read_text(path)
        if text is None:
            continue
        found = _Reader(path, text, conf).read()
        _check_exclusive(found, path)
        for pair in EXCLUSIVE:
            _prefer(found, pair, conf)
        conf.values |= found
    return conf


def _check_exclusive(found: Mapping[str, Found], path: Path) -> None:
    for one, other in EXCLUSIVE:
        if one in found and other in found and found[one].value and found[other].value:
            raise ConfigError(f"cannot use {path}: it has both {one} and {other}", hint="remove one of them")


def _prefer(found: Mapping[str, Found], pair: tuple[str, str], conf: MenderConf) -> None:
    """Let the main file's form of a pair go over the other form in the fallback file."""
    for one, other in (pair, pair[::-1]):
        if one in found and found[one].value and other in conf.values and conf.values[other].value:
            old = conf.values.pop(other).origin
            conf.warnings.append(f"{old.path}: {other} does not count, since {found[one].origin.path} has {one}")


@dataclass(slots=True)
class _Reader:
    """One file."""

    path: Path
    text: str
    conf: MenderConf
    found: dict[str, Found] = field(default_factory=dict)

    def read(self) -> dict[str, Found]:
        for key, value in self._parse().items():
            name = OBJECTS.get(key.lower())
            if name is None:
                self._take(key, key, value)
            elif isinstance(value, dict):
                self._spelled(key, name)
                for inner, inner_value in value.items():
                    self._take(f"{name}.{inner}", inner, inner_value)
            elif value is not None:
                self._refuse(name, key, "an object", value)
        return self.found

    def _parse(self) -> dict[str, Any]:
        try:
            value = json.loads(self.text, object_pairs_hook=self._last_of_each)
        except json.JSONDecodeError as e:
            raise ConfigError(
                f"cannot use {self.path}: not valid JSON: {e.msg}", where=Where(member=str(self.path), line=e.lineno)
            ) from e
        except (RecursionError, ValueError) as e:  # nested too deep, or a number of thousands of digits
            raise ConfigError(f"cannot use {self.path}: it cannot be read as JSON") from e
        if not isinstance(value, dict):
            raise ConfigError(f"cannot use {self.path}: it must be a JSON object")
        return value

    def _last_of_each(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in values:
                self.conf.warnings.append(f"{self.path}: the key {quoted(key)} stands there twice; the last one counts")
            values[key] = value
        return values

    def _take(self, full: str, key: str, value: object) -> None:
        name = NAMES.get(full.lower())
        if name is None or "." in key:
            known = NAMES.values() if name is None else ()
            self.conf.warnings.append(unknown(self.path, f"the key {quoted(full)}", full, known))
            return
        self._spelled(full, name)
        if name in IGNORED:
            self.conf.ignored.append(f"{self.path}: {name} is read and ignored: {IGNORED[name]}")
            return
        if value is None:
            return
        if name in self.found:
            raise ConfigError(
                f"cannot use {self.path}: {name} stands there twice, in different spelling", hint="remove one of them"
            )
        self.found[name] = Found(value=self._checked(name, key, value), origin=self._origin(name, key))

    def _checked(self, name: str, key: str, value: object) -> object:
        """Return the value if it is of the type that the real client wants."""
        form = KEYS[name].form
        wanted = _TYPES[form]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            self._refuse(name, key, form.value, value)
        if form is Form.SERVERS:
            return self._servers(name, key, value)
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            self._refuse(name, key, form.value, value)
        return value

    def _servers(self, name: str, key: str, servers: Any) -> list[str]:
        urls: list[str] = []
        for server in servers:
            if not isinstance(server, dict):
                self._refuse(name, key, KEYS[name].form.value, server)
            for inner, value in server.items():
                if inner.lower() != "serverurl":
                    what = f"the key {quoted(inner)} in {name}"
                    self.conf.warnings.append(unknown(self.path, what, inner, ["ServerURL"]))
                elif not isinstance(value, str):
                    self._refuse(name, key, KEYS[name].form.value, server)
                elif value:
                    urls.append(value)
        return urls

    def _spelled(self, key: str, name: str) -> None:
        if key != name:
            self.conf.warnings.append(
                f"{self.path}: the key {quoted(key)} is taken as {name}; Mender from 4.0 on takes only that spelling"
            )

    def _origin(self, name: str, key: str) -> Origin:
        return Origin(path=self.path, key=name, line=line_of(self.text, rf'"{re.escape(key)}"\s*:'))

    def _refuse(self, name: str, key: str, form: str, value: object) -> NoReturn:
        # What stands there may be secret, or hold a password; its type says enough.
        kind = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
        raise ConfigError(
            f"cannot use {self.path}: {name} must be {form}, not {kind.get(type(value), 'a number')}",
            where=Where(member=str(self.path), line=self._origin(name, key).line),
        )
