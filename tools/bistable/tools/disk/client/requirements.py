"""What the client needs of the distribution, looked up in the package database of a root file system."""

import re
from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.packages import CONTROL, parse_packages
from bistable.tools.boot.plan import Loader
from bistable.tools.disk.client.install import Start
from bistable.tools.disk.tree.port import ReadableTree

DATABASE: Final = "/var/lib/dpkg/status"
OLDEST_PYTHON: Final = (3, 11)
_VERSION: Final = re.compile(r"(?:\d+:)?(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A Debian package that must be there, what for, and the oldest version that the client is tested with."""

    package: str
    reason: str
    tested: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """What a root file system has of what is needed: what is missing, and what is older than what is tested."""

    missing: tuple[Requirement, ...]
    older: tuple[str, ...]


def requirements(loader: Loader, start: Start) -> tuple[Requirement, ...]:
    """Return what a device with this boot loader and this kind of client needs."""
    always = (
        Requirement(package="python3", reason="the client is written in it"),
        Requirement(package="python3-cryptography", reason="signatures of artifacts", tested=(42,)),
        Requirement(package="python3-zstandard", reason="compressed artifacts", tested=(0, 22)),
    )
    uboot = (Requirement(package="libubootenv-tool", reason="fw_printenv and fw_setenv"),)
    service = (
        Requirement(
            package="python3-dbus-fast", reason="applications talk to the service over the bus", tested=(2, 21)
        ),
    )
    return (
        *always,
        *(uboot if loader in {Loader.UBOOT, Loader.UBOOT_ENVIRONMENT} else ()),
        *(service if start is Start.SERVICE else ()),
    )


def look_for_packages(tree: ReadableTree, needed: tuple[Requirement, ...]) -> Packages:
    """Return what is needed and not installed, or old.

    Raises:
        RequestError: there is no database of dpkg, or the Python in it is too old.
        RejectedError: the database is damaged.
    """
    database = tree.read(DATABASE)
    if database is None:
        raise RequestError(
            f"cannot tell what is installed: there is no {DATABASE} in the root file system",
            hint="only systems of Debian and its kin can be converted; build others with `bistable image build`",
        )
    found = {
        package.name: package.version
        for package in parse_packages(database.decode("utf-8", "replace").splitlines(), CONTROL)
    }
    python = _numbers(found.get("python3", ""))
    if python and python < OLDEST_PYTHON:
        raise RequestError(
            f"cannot install the client: Python in the root file system is {found['python3']}",
            hint="it needs Python 3.11 or later, which Debian has since version 12",
        )
    return Packages(
        missing=tuple(item for item in needed if item.package not in found),
        older=tuple(
            f"{item.package} is {found[item.package]}; the client is tested with {'.'.join(map(str, item.tested))} and "
            "later"
            for item in needed
            if item.package in found and _numbers(found[item.package]) < item.tested
        ),
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a Debian version begins with, without epoch and revision."""
    match = _VERSION.match(version)
    return tuple(map(int, match[1].split("."))) if match else ()
