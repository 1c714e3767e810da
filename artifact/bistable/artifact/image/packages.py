"""The packages that are installed in a root file system, from the text databases of dpkg, opkg and apk."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bistable.artifact.errors import LimitError, UnsupportedError
from bistable.artifact.image.model import Entry, Kind
from bistable.artifact.image.volume import Volume, find, open_image
from bistable.artifact.limits import MIB
from bistable.artifact.packages import APK, CONTROL, ListForm, Package, parse_packages

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

_FORMS: Final[Mapping[str, ListForm]] = {"dpkg": CONTROL, "opkg": CONTROL, "apk": APK}


def installed_packages(image: Path) -> tuple[Package, ...]:
    """Return the packages that are installed in the root file system in `image`, by name; none if nothing lists them.

    Raises:
        UnsupportedError: the only list is rpm's, which is no text; or the image is of a kind that cannot be read.
        RejectedError: it or the list is damaged, or the list is unreasonably long.
    """
    with open_image(image) as volume:
        for manager, form in _FORMS.items():
            entry = _database(volume, manager)
            if entry is not None:
                return parse_packages(_lines(volume, entry), form)
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
