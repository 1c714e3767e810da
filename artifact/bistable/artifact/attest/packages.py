"""The packages that a bill of materials names, from a status file of dpkg or opkg."""

import re
from typing import Final

from bistable.artifact.errors import RejectedError, RequestError
from bistable.artifact.packages import CONTROL, Package, parse_packages

DPKG_STATUS: Final = "/var/lib/dpkg/status"
"""Where dpkg keeps its list inside an image; that of opkg (`/var/lib/opkg/status`) is of the same form."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+._-]*", re.ASCII | re.IGNORECASE)
_VERSION: Final = re.compile(r"[A-Za-z0-9.+:~^_-]+", re.ASCII)


def parse_dpkg_status(data: bytes) -> tuple[Package, ...]:
    """Return the installed packages that a status file of dpkg or opkg lists, in the order of their names.

    Raises:
        RequestError: it is not such a file.
    """
    try:
        packages = parse_packages(data.decode("utf-8", "replace").split("\n"), CONTROL)
    except RejectedError as e:
        raise RequestError(e.what) from e
    for package in packages:
        if not (
            _NAME.fullmatch(package.name)
            and _VERSION.fullmatch(package.version)
            and _NAME.fullmatch(package.architecture)
        ):
            raise RequestError(
                f"cannot read the package list: {package.name!r} has no proper name, version or architecture"
            )
    return packages
