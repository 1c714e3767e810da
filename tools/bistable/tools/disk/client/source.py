"""Where the client comes from: this installation, a folder with the sources, or a wheel."""

import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.client.version import VERSION

PARTS: Final = ("artifact", "client")
"""What a device needs of the product: what reads artifacts, and what installs them."""

CODE_SUFFIXES: Final = frozenset({".py", ".xml", ".typed"})
SHARED: Final = PurePosixPath("share/bistable/dist")
"""Where an installation keeps what belongs to the client and is no code, beneath its prefix."""

_CACHE: Final = "__pycache__"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSource:
    """The client: `code` is path in the directory of packages -> content; `files` is what is in client/dist."""

    name: str
    code: Mapping[PurePosixPath, bytes]
    files: Mapping[PurePosixPath, bytes]


def client_source(place: Path | None = None) -> ClientSource:
    """Return the client of this installation, or that of `place`: a folder with the sources, or a wheel.

    Raises:
        RequestError: it is not there, or not complete.
    """
    if place is None:
        return ClientSource(name="this installation", code=_own_code(), files=_own_files())
    if place.is_dir():
        return _from_sources(place)
    if place.is_file() and place.suffix == ".whl":
        return _from_wheel(place)
    raise RequestError(
        f"cannot take the client from {place}: it is neither a folder with the sources nor a wheel",
        hint="a wheel is made by `make wheel`; or leave the option out, and the client of this installation is taken",
    )


def _own_code() -> dict[PurePosixPath, bytes]:
    found: dict[PurePosixPath, bytes] = {}
    for part in PARTS:
        spec = find_spec(f"bistable.{part}")
        assert spec is not None
        assert spec.origin is not None
        found |= _code(Path(spec.origin).parent, part)
    return found


def _own_files() -> dict[PurePosixPath, bytes]:
    spec = find_spec("bistable.client")
    assert spec is not None
    assert spec.origin is not None
    places = (Path(spec.origin).parents[2] / "dist", Path(sys.prefix) / SHARED)
    for place in places:
        if (place / "systemd").is_dir():
            return _files(place)
    raise RequestError(
        "cannot find the files that belong to the client (units, modules): this installation has none",
        hint="name a folder with the sources, or a wheel",
    )


def _from_sources(place: Path) -> ClientSource:
    code: dict[PurePosixPath, bytes] = {}
    for part in PARTS:
        package = place / part / "bistable" / part
        if not package.is_dir():
            raise RequestError(
                f"cannot take the client from {place}: there is no {package.relative_to(place)} in it",
                hint="name the folder that holds pyproject.toml",
            )
        code |= _code(package, part)
    return ClientSource(name=str(place), code=code, files=_files(place / "client" / "dist"))


def _from_wheel(place: Path) -> ClientSource:
    code: dict[PurePosixPath, bytes] = {}
    files: dict[PurePosixPath, bytes] = {}
    try:
        with zipfile.ZipFile(place) as archive:
            for name in sorted(archive.namelist()):
                path = PurePosixPath(name)
                if _is_code(path):
                    code[path] = archive.read(name)
                elif path.parts[1:5] == ("data", *SHARED.parts) and path.parts[0].endswith(".data"):
                    files[PurePosixPath(*path.parts[5:])] = archive.read(name)
    except (OSError, zipfile.BadZipFile) as e:
        raise RequestError(f"cannot read {place}: {e}") from e
    if not all(any(path.parts[:2] == ("bistable", part) for path in code) for part in PARTS):
        raise RequestError(f"cannot take the client from {place}: it is a wheel of something else")
    return ClientSource(name=str(place), code=code, files=files or _files_for(place))


def _files_for(wheel: Path) -> Mapping[PurePosixPath, bytes]:
    """Return the files of this installation for a wheel that has none; they fit if both are of one version."""
    version = wheel.name.split("-")[1:2]
    if version != [VERSION]:
        raise RequestError(
            f"cannot take the client from {wheel}: units and modules are not in it, and those of this installation "
            f"belong to version {VERSION}",
            hint="name a folder with the sources of that version",
        )
    return _own_files()


def _code(package: Path, part: str) -> dict[PurePosixPath, bytes]:
    found = {
        PurePosixPath("bistable", part, *path.relative_to(package).parts): path for path in sorted(package.rglob("*"))
    }
    return {inside: path.read_bytes() for inside, path in found.items() if path.is_file() and _is_code(inside)}


def _is_code(path: PurePosixPath) -> bool:
    in_part = len(path.parts) > 2 and path.parts[0] == "bistable" and path.parts[1] in PARTS
    return in_part and path.suffix in CODE_SUFFIXES and _CACHE not in path.parts


def _files(place: Path) -> dict[PurePosixPath, bytes]:
    if not place.is_dir():
        raise RequestError(f"cannot find {place}: units, modules and policies of the client are there")
    return {
        PurePosixPath(*path.relative_to(place).parts): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and _CACHE not in path.parts
    }
