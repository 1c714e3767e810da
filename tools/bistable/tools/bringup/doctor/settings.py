"""What the client and the system were told: settings, and what is mounted."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from bistable.tools.bringup.doctor.expected import RENDERED, Expected, MountLine, parse_mounts
from bistable.tools.bringup.doctor.facts import Facts, Mounted
from bistable.tools.bringup.doctor.finding import MOUNTS, SETTINGS, Finding, error, warning

_FOLDER: Final = "conf.d"
_DATA: Final = "/data"
_UBI: Final = "ubi"


def check_settings(expected: Expected, facts: Facts) -> Iterator[Finding]:
    """Yield in what the settings of the client are others than those of the board."""
    values: dict[tuple[str, str], tuple[Any, str]] = {}
    for path, text in _in_order(facts.settings):
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as e:
            yield error(SETTINGS, f"{path} is not valid TOML", f"{path} in the root file system", found=str(e))
            continue
        values |= {key: (value, path) for key, value in _flat(document).items()}
    for path, wanted in expected.settings.items():
        source = f"{RENDERED}/{_FOLDER}/{PurePosixPath(path).name}"
        different = {
            key: value
            for key, value in _flat(wanted).items()
            if not _same(values[key][0] if key in values else None, value, facts)
        }
        if path not in facts.settings and len(different) == len(_flat(wanted)):
            yield error(
                SETTINGS,
                f"there is no {path}",
                f"the image of the root file system: install {source} there",
                found="no such file",
                expected=", ".join(map(_words, different.items())),
            )
            continue
        for key, value in different.items():
            found, place = values.get(key, (None, path))
            yield error(
                SETTINGS,
                f"[{key[0]}] {key[1]} is not what the board needs",
                f"{place} in the root file system; {source} has the right value",
                found="not set" if found is None else f"{_words((key, found))} in {place}",
                expected=_words((key, value)),
            )


def _in_order(settings: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return file -> text in the order in which the client reads them: one goes before those in the folder."""
    return sorted(settings.items(), key=lambda item: (f"/{_FOLDER}/" in item[0], item[0]))


def _flat(document: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    tables = ((table, content) for table, content in document.items() if isinstance(content, dict))
    return {(table, key): value for table, content in tables for key, value in content.items()}


def _words(item: tuple[tuple[str, str], Any]) -> str:
    (table, key), value = item
    return f"{table}.{key} = {value!r}"


def _same(found: Any, wanted: Any, facts: Facts) -> bool:
    """Return whether two values mean the same: devices may be called by different names."""
    if found == wanted:
        return True
    if not (isinstance(found, str) and isinstance(wanted, str) and wanted.startswith("/dev/")):
        return False
    block = facts.block(found)
    return block is not None and block == facts.block(wanted)


def check_mounts(expected: Expected, facts: Facts) -> Iterator[Finding]:
    """Yield what is mounted elsewhere than the board needs, or not at all."""
    if not facts.mounts:
        return
    table = {mount.point: mount for mount in parse_mounts(facts.table or "")}
    for wanted in expected.mounts:
        yield from _mount(wanted, table, facts)


def _mount(wanted: MountLine, table: Mapping[str, MountLine], facts: Facts) -> Iterator[Finding]:
    there, block = facts.mounted(wanted.point), facts.source(wanted.source)
    # Without the data partition the client forgets at each update what it knows.
    grade = error if wanted.point == _DATA else warning
    if there is None:
        listed = table.get(wanted.point)
        yield grade(
            MOUNTS,
            f"nothing is mounted at {wanted.point}",
            f"/etc/fstab in the root file system: {RENDERED}/fstab has the line; and the directory {wanted.point}"
            if listed is None or listed.source != wanted.source
            else f"the line in /etc/fstab is right: see in the log of the system why {wanted.point} was not mounted",
            found="no line in /etc/fstab" if listed is None else listed.line,
            expected=wanted.line,
        )
    elif _is_another(wanted, there, facts):
        found = facts.numbered(there.device)
        yield grade(
            MOUNTS,
            f"another file system than that of the board is mounted at {wanted.point}",
            f"/etc/fstab in the root file system: {RENDERED}/fstab has the right line",
            found=there.source if found is None else found.node,
            expected=wanted.source if block is None else f"{block.node} ({wanted.source})",
        )


def _is_another(wanted: MountLine, there: Mounted, facts: Facts) -> bool:
    if wanted.source.startswith(_UBI):
        return there.source != wanted.source
    found = facts.numbered(there.device)
    return found is not None and found != facts.source(wanted.source)
