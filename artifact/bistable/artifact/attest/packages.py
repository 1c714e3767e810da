"""The packages of an image: how they are named across tools, and where Debian's package manager lists them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from bistable.artifact.errors import RequestError

DPKG_STATUS: Final = "/var/lib/dpkg/status"
"""Where dpkg keeps its list inside an image; that of opkg (`/var/lib/opkg/status`) is of the same form."""

_FIELD: Final = re.compile(r"([!-9;-~]+):[ \t]*(.*)", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+._-]*", re.ASCII | re.IGNORECASE)
_VERSION: Final = re.compile(r"[A-Za-z0-9.+:~^_-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """A package of the Debian family as it is installed."""

    name: str
    version: str
    architecture: str

    def url(self, vendor: str) -> str:
        """Return its package URL (purl); `vendor` is the distribution's short name, such as `debian`."""
        version = quote(self.version, safe=":")
        return f"pkg:deb/{quote(vendor.lower())}/{quote(self.name.lower())}@{version}?arch={quote(self.architecture)}"


def distinct(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages in the order of their names, each once."""
    return tuple(sorted(set(packages)))


def parse_dpkg_status(data: bytes) -> tuple[Package, ...]:
    """Return the installed packages that a status file of dpkg or opkg lists, in the order of their names.

    Raises:
        RequestError: it is not such a file.
    """
    found = []
    for number, paragraph in _paragraphs(data.decode("utf-8", "replace")):
        if paragraph.get("status", "").split()[2:] != ["installed"]:
            continue
        name, version = paragraph.get("package", ""), paragraph.get("version", "")
        architecture = paragraph.get("architecture", "")
        if not (_NAME.fullmatch(name) and _VERSION.fullmatch(version) and _NAME.fullmatch(architecture)):
            raise RequestError(
                f"cannot read the package list: the entry that ends before line {number} lacks name, version or "
                "architecture"
            )
        found.append(Package(name=name, version=version, architecture=architecture))
    return distinct(found)


def _paragraphs(text: str) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield the paragraphs with the number of the line after each; only what stands on a field's first line is kept."""
    fields: dict[str, str] = {}
    number = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            if fields:
                yield number, fields
            fields = {}
        elif not line.startswith((" ", "\t")):
            match = _FIELD.fullmatch(line)
            if match is None:
                raise RequestError(f"cannot read the package list: line {number} is not of the form 'Field: value'")
            fields[match[1].lower()] = match[2].strip()
    if fields:
        yield number + 1, fields
