"""Installed packages, and the text in which dpkg, opkg and apk list them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from bistable.artifact.errors import RejectedError, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package; `architecture` may be empty, and `license` is there where the list tells it."""

    name: str
    version: str
    architecture: str
    license: str | None = None

    def url(self, vendor: str) -> str:
        """Return its package URL (purl) of the type `deb`; `vendor` is the distribution's short name, as `debian`."""
        version = quote(self.version, safe=":")
        return f"pkg:deb/{quote(vendor.lower())}/{quote(self.name.lower())}@{version}?arch={quote(self.architecture)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListForm:
    """What the fields of a list are called; with `status` a package counts that is `installed` by it, else each does.

    Names of fields are the same in capital letters where `folds` says so.
    """

    name: str
    version: str
    architecture: str
    license: str
    status: str | None
    folds: bool


CONTROL: Final = ListForm(
    name="package", version="version", architecture="architecture", license="license", status="status", folds=True
)
"""That of dpkg and opkg, where a package that was removed keeps its paragraph, with another status."""

APK: Final = ListForm(name="P", version="V", architecture="A", license="L", status=None, folds=False)


def parse_packages(lines: Iterable[str], form: ListForm) -> tuple[Package, ...]:
    """Return the installed packages that the lines list, in the order of their names, each once.

    Raises:
        RejectedError: a line is no field, or an installed package has no name or no version.
    """
    found = (_package(number, fields, form) for number, fields in _paragraphs(lines, form))
    return distinct(filter(None, found))


def distinct(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages in the order of their names, each once."""
    return tuple(sorted(set(packages), key=lambda package: (package.name, package.version, package.architecture)))


def _package(number: int, fields: dict[str, str], form: ListForm) -> Package | None:
    if form.status is not None and fields.get(form.status, "").split()[2:] != ["installed"]:
        return None
    name, version = fields.get(form.name, ""), fields.get(form.version, "")
    if not (name and version):
        raise _broken(f"the entry that ends before line {number} lacks name or version")
    return Package(
        name=name,
        version=version,
        architecture=fields.get(form.architecture, ""),
        license=fields.get(form.license) or None,
    )


def _paragraphs(lines: Iterable[str], form: ListForm) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the fields between blank lines, and the number of the line after them.

    Only what stands on a field's first line is kept: what is continued holds nothing that is wanted.
    """
    fields: dict[str, str] = {}
    number = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            if fields:
                yield number, fields
            fields = {}
        elif not line[0].isspace():
            name, colon, value = line.partition(":")
            if not colon or not name or not name.isascii() or not name.isprintable() or " " in name:
                raise _broken(f"line {number} is {quoted(line[:80])}, not of the form 'Field: value'")
            fields[name.lower() if form.folds else name] = value.strip()
    if fields:
        yield number + 1, fields


def _broken(why: str) -> RejectedError:
    return RejectedError(f"cannot read the package list: {why}", rule="image.packages")
