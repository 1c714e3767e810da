"""Put the client into a root file system, as docs/how-to/set-up-a-device.md says."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.image import Kind
from bistable.artifact.keys import read_verifiers
from bistable.tools.disk.client.source import ClientSource, client_source
from bistable.tools.disk.tree.folder import FolderTree
from bistable.tools.disk.tree.port import RootTree

KEYS: Final = "/etc/bistable/keys"
SETTINGS: Final = "/etc/bistable/conf.d"
SHARE: Final = "/usr/share/bistable"
UNITS: Final = "/usr/lib/systemd/system"
PYTHONS: Final = ("3.14", "3.13", "3.12", "3.11")
DEBIAN_PACKAGES: Final = "/usr/lib/python3/dist-packages"

PROGRAMS: Final = {"bistablectl": "bistable.client.ctl", "bistabled": "bistable.client.daemon"}

PLACES: Final[Mapping[str, tuple[str, int]]] = {
    "modules": (f"{SHARE}/modules", 0o755),
    "inventory": (f"{SHARE}/inventory", 0o755),
    "identity": (f"{SHARE}/identity", 0o755),
    "conf.d": (SETTINGS, 0o644),
    "systemd": (UNITS, 0o644),
    "tmpfiles.d": ("/usr/lib/tmpfiles.d", 0o644),
    "dbus-1": ("/usr/share/dbus-1", 0o644),
    "polkit-1/actions": ("/usr/share/polkit-1/actions", 0o644),
}
"""Folder of client/dist -> where it goes, and the mode of its files."""

_LEFT_OUT: Final = ("dbus-1/system.d/io.mender.",)
"""Policies for applications that speak io.mender: whoever has such applications installs them."""

_PROGRAM: Final = """\
#!/usr/bin/python3
import sys

from {module} import main

sys.exit(main())
"""


class Start(StrEnum):
    """Who leads updates on the device, and so what is started."""

    SERVICE = "service"
    """A server: the service runs all the time."""
    TIMER = "timer"
    """A server, where memory is short: the service runs now and then."""
    BY_HAND = "by-hand"
    """People or programs, with bistablectl."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What is said to the client beside where its slots are: nothing of it is needed to boot.

    `verify_keys` are files of public keys by which artifacts have to be signed; `servers` are asked for updates.
    """

    artifact_name: str | None = None
    verify_keys: tuple[Path, ...] = ()
    servers: tuple[str, ...] = ()


_ENABLED: Final[Mapping[Start, tuple[str, str]]] = {
    Start.SERVICE: ("multi-user.target", "bistabled.service"),
    Start.TIMER: ("timers.target", "bistable-once.timer"),
    Start.BY_HAND: ("multi-user.target", "bistable-recover.service"),
}


def install_client(root: Path, *, source: ClientSource | None = None, start: Start = Start.SERVICE) -> None:
    """Put the client into the root file system in the directory `root`; what is there of it is replaced.

    Raises:
        RequestError: there is no place for Python packages, or the client is not complete.
        MachineError: something cannot be written.
    """
    put_client(FolderTree(root), source=source or client_source(), start=start)


def put_client(tree: RootTree, *, source: ClientSource, start: Start) -> None:
    """Put the client into `tree`: code, programs, units, modules, policies, and the link that starts it.

    Raises:
        RequestError: there is no place for Python packages.
    """
    packages = _packages_directory(tree)
    for path, content in source.code.items():
        tree.file(f"{packages}/{path}", content)
    for name, module in PROGRAMS.items():
        tree.file(f"/usr/bin/{name}", _PROGRAM.format(module=module).encode(), mode=0o755)
    for target, mode, content in _placed(source.files):
        tree.file(target, content, mode=mode)
    for directory in (KEYS, "/etc/bistable/health.d"):
        tree.directory(directory)
    wanted_by, unit = _ENABLED[start]
    tree.link(f"/etc/systemd/system/{wanted_by}.wants/{unit}", f"{UNITS}/{unit}")


def put_configuration(tree: RootTree, wanted: Configuration) -> None:
    """Put into `tree` what the client is told.

    Raises:
        RequestError: a key cannot be read, or two have the same name.
    """
    if wanted.artifact_name is not None:
        tree.file("/etc/mender/artifact_info", f"artifact_name={wanted.artifact_name}\n".encode())
    if wanted.verify_keys:
        names = [path.name for path in wanted.verify_keys]
        if len(set(names)) < len(names):
            raise RequestError("cannot install two keys of the same name", hint="rename one of the files")
        for path in wanted.verify_keys:
            read_verifiers(path)
            tree.file(f"{KEYS}/{path.name}", path.read_bytes())
        tree.file(f"{SETTINGS}/20-keys.toml", _setting("trust", "verify-keys", [f"{KEYS}/{name}" for name in names]))
    if wanted.servers:
        tree.file(f"{SETTINGS}/60-server.toml", _setting("server", "urls", wanted.servers))


def _setting(table: str, key: str, values: Sequence[str]) -> bytes:
    # JSON's strings are TOML's.
    return f"[{table}]\n{key} = {json.dumps(list(values))}\n".encode()


def _packages_directory(tree: RootTree) -> str:
    """Return where Python finds packages that a distribution installs."""
    places = (DEBIAN_PACKAGES, *(f"/usr/lib/python{version}/site-packages" for version in PYTHONS))
    for place in places:
        if tree.kind(place) is Kind.DIRECTORY:
            return place
    raise RequestError(
        "cannot install the client: there is no Python 3.11 or later in the root file system",
        hint=f"it needs python3 and its packages; looked for {places[0]} and {places[1]} and earlier ones",
    )


def _placed(files: Mapping[PurePosixPath, bytes]) -> Iterator[tuple[str, int, bytes]]:
    """Yield target, mode and content of everything that is installed of client/dist."""
    for path, content in sorted(files.items()):
        for folder, (target, mode) in PLACES.items():
            if path.is_relative_to(folder) and not str(path).startswith(_LEFT_OUT):
                yield f"{target}/{path.relative_to(folder)}", mode, content
