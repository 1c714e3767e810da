"""Finds the update module of a payload type; a name can never lead out of the modules' directories."""

import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from bistable.artifact.errors import quoted
from bistable.client.errors import ModuleError

DIRECTORIES: Final = (Path("/usr/share/bistable/modules/v3"), Path("/usr/share/mender/modules/v3"))
"""Where modules are, the first that has one of the name wins; the second is where existing ones are installed to."""

SHOWN: Final = 20
"""Modules that an error lists at most."""


def find_module(payload_type: str, directories: Sequence[Path] = DIRECTORIES) -> Path:
    """Return the program that installs payloads of this type.

    Raises:
        ModuleError: there is none, it cannot be run, or the type cannot be a module's name.
    """
    _check_name(payload_type)
    unfit: list[str] = []
    for directory in directories:
        path = directory / payload_type
        why = _why_unfit(path)
        if why is None:
            return path
        if why:
            unfit.append(f"{path} {why}")
    what = f"cannot install a payload of type {quoted(payload_type)}: "
    if unfit:
        raise ModuleError(what + "; ".join(unfit), hint="a module is a regular file with execute permission")
    there = available_modules(directories)
    place = directories[0] if directories else "a directory for modules"
    listed = ", ".join(there[:SHOWN]) + (", ..." if len(there) > SHOWN else "") if there else "none"
    raise ModuleError(
        f"{what}no update module of this name is installed (installed: {listed})",
        hint=f"put an executable file named {quoted(payload_type)} into {place}",
    )


def available_modules(directories: Iterable[Path] = DIRECTORIES) -> list[str]:
    """Return the names of the modules that could be run, sorted."""
    found: set[str] = set()
    for directory in directories:
        try:
            found.update(path.name for path in directory.iterdir() if _why_unfit(path) is None)
        except OSError:
            continue
    return sorted(name for name in found if not name.startswith("."))


def _check_name(payload_type: str) -> None:
    """A name is one part of a path, or nothing is looked for: the artifact that brought it chose it freely."""
    if not payload_type or payload_type.startswith(".") or "/" in payload_type or not payload_type.isprintable():
        raise ModuleError(
            f"cannot install a payload of type {quoted(payload_type)}: this cannot be the name of an update module"
        )


def _why_unfit(path: Path) -> str | None:
    """Return why this is not a module: None if it is one, an empty text if nothing is there."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as e:
        return f"cannot be looked at ({e.strerror})"
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    return None if mode & 0o111 else "is not executable"
