"""The packages that are installed in a root file system, from the text databases of dpkg, opkg and apk."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.errors import LimitError, UnsupportedError
from bistable.artifact.image.model import Entry, Kind
from bistable.artifact.image.volume import Volume, find, open_image
from bistable.artifact.limits import MIB

_LINE_LIMIT: Final = MIB
_DATABASE_LIMIT: Final = 512 * MIB
_RPM: Final = "rpm"

DATABASES: Final[Mapping[str, tuple[str, ...]]] = {
    "dpkg": ("/var/lib/dpkg/status",),
    "opkg": ("/var/lib/opkg/status", "/usr/lib/opkg/status"),
    "apk": ("/lib/apk/db/installed",),
    _RPM: (
        "/var/lib/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages",
        "/var/lib/rpm/Packages.db",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/Packages.db",
    ),
}
"""Package manager -> where its list may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package; `license` where the database tells it."""

    name: str
    version: str
    architecture: str
    license: str | None = None


Fields = dict[str, str]


def installed_packages(image: Path) -> tuple[Package, ...]:
    """Return the packages that are installed in the root file system in `image`, by name; none if nothing lists them.

    Raises:
        UnsupportedError: the only list is rpm's, which is no text; or the image is of a kind that cannot be read.
        RejectedError: it is damaged, or the list is unreasonably long.
    """
    with open_image(image) as volume:
        for manager, parse in _PARSERS.items():
            entry = _database(volume, manager)
            if entry is not None:
                found = filter(None, (parse(fields) for fields in _stanzas(_lines(volume, entry))))
                return tuple(sorted(found, key=lambda package: (package.name, package.version)))
        if _database(volume, _RPM) is not None:
            raise UnsupportedError(
                f"cannot list the packages in {image.name}: the database of rpm cannot be read",
                hint="use the SBOM that the build system makes",
                rule="image.packages",
            )
        return ()


def _database(volume: Volume, manager: str) -> Entry | None:
    found = (find(volume, path) for path in DATABASES[manager])
    return next((entry for entry in found if entry is not None and entry.kind is Kind.FILE), None)


def _lines(volume: Volume, entry: Entry) -> Iterator[str]:
    if entry.size > _DATABASE_LIMIT:
        raise LimitError(f"cannot read {entry.path} in the image: it has {entry.size} bytes", rule="limit.image-text")
    rest = b""
    for chunk in volume.chunks(entry):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_LIMIT:
            raise LimitError(f"cannot read {entry.path} in the image: a line is too long", rule="limit.image-text")
        yield from (line.decode("utf-8", "replace") for line in lines)
    yield rest.decode("utf-8", "replace")


def _stanzas(lines: Iterator[str]) -> Iterator[Fields]:
    """Yield the fields of paragraphs that blank lines divide; continued lines hold nothing that is wanted."""
    fields: Fields = {}
    for line in lines:
        if not line.strip():
            yield fields
            fields = {}
        elif not line[0].isspace():
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    yield fields


def _parse_control(fields: Fields) -> Package | None:
    """Take a paragraph of dpkg or opkg, where a package that was removed keeps its own, with another status."""
    if not fields.get("Status", "").endswith(" installed"):
        return None
    return _package(fields, "Package", "Version", "Architecture", "License")


def _parse_apk(fields: Fields) -> Package | None:
    return _package(fields, "P", "V", "A", "L")


def _package(fields: Fields, name: str, version: str, architecture: str, license_: str) -> Package | None:
    if name not in fields or version not in fields:
        return None
    return Package(
        name=fields[name],
        version=fields[version],
        architecture=fields.get(architecture, ""),
        license=fields.get(license_) or None,
    )


_PARSERS: Final[Mapping[str, Callable[[Fields], Package | None]]] = {
    "dpkg": _parse_control,
    "opkg": _parse_control,
    "apk": _parse_apk,
}
