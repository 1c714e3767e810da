"""What the client needs of the distribution, looked up in the package database of a root file system."""

import re
from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.packages import CONTROL, parse_packages
from bistable.tools.boot.plan import Loader
from bistable.tools.disk.client.install import Start
from bistable.tools.disk.tree.port import RootTree

DATABASE: Final = "/var/lib/dpkg/status"
OLDEST_PYTHON: Final = (3, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A Debian package that must be there, and what for."""

    package: str
    reason: str


def requirements(loader: Loader, start: Start) -> tuple[Requirement, ...]:
    """Return what a device with this boot loader and this kind of client needs."""
    always = (
        Requirement(package="python3", reason="the client is written in it"),
        Requirement(package="python3-cryptography", reason="signatures of artifacts"),
        Requirement(package="python3-zstandard", reason="compressed artifacts"),
    )
    uboot = (Requirement(package="libubootenv-tool", reason="fw_printenv and fw_setenv"),)
    service = (Requirement(package="python3-dbus-fast", reason="applications talk to the service over the bus"),)
    return (
        *always,
        *(uboot if loader in {Loader.UBOOT, Loader.UBOOT_ENVIRONMENT} else ()),
        *(service if start is Start.SERVICE else ()),
    )


def missing_packages(tree: RootTree, needed: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
    """Return what is needed and not installed.

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
    version = re.match(r"(?:\d+:)?(\d+)\.(\d+)", found.get("python3", ""))
    if version is not None and (int(version[1]), int(version[2])) < OLDEST_PYTHON:
        raise RequestError(
            f"cannot install the client: Python in the root file system is {version[1]}.{version[2]}",
            hint="it needs Python 3.11 or later, which Debian has since version 12",
        )
    return tuple(requirement for requirement in needed if requirement.package not in found)
