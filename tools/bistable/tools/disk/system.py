"""What belongs into the root file system of every slot, beside what it came with, and what must have come with it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.image import ImageKind, Kind
from bistable.tools.boot.plan import BootPlan, Loader
from bistable.tools.disk.geometry import BOOT, DATA, Geometry
from bistable.tools.disk.tree.port import ReadableTree, RootTree

DATA_MOUNT: Final = "/data"
MEMORY: Final = f"{DATA_MOUNT}/bistable"
MEMORY_LINK: Final = "/var/lib/bistable"
DEVICE_TYPE: Final = f"{MEMORY}/device_type"
FSTAB: Final = "/etc/fstab"
SETTINGS: Final = "/etc/bistable/conf.d/15-disk.toml"

_SETTINGS: Final = f"""\
# Written when the disk image was made: what the device is, and where the client keeps its memory.
[device]
device-type-file = "{DEVICE_TYPE}"
data-dir = "{MEMORY}"
"""


_SYSTEMD: Final = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
_PATIENCE: Final = ",x-systemd.device-timeout=10min"
"""systemd gives a device up after 90 seconds and goes into an emergency shell, where nobody is. A slow machine that
checks a large file system at the same time may need longer, and to try again would not make it faster."""

_BOOT_MOUNTS: Final[Mapping[Loader, str]] = {
    Loader.SYSTEMD_BOOT: "/boot/efi",
    Loader.EFI: "/boot/efi",
    Loader.RASPBERRY_PI: "/boot/autoboot",
}
"""Boot loaders to which the client speaks by files on the boot partition, and where it looks for them."""


class Init(StrEnum):
    """What starts the system in a slot, and mounts what its table says."""

    SYSTEMD = "systemd"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Where something is mounted, and the line of the table that says so."""

    point: str
    line: str


def add_to_system(tree: RootTree, files: Mapping[PurePosixPath, bytes], mounts: Sequence[Mount]) -> None:
    """Put into a slot what boots it and what its client needs to find all this.

    Raises:
        RequestError: it cannot be put there.
    """
    add_beside_table(tree, files, mounts)
    table = (tree.read(FSTAB) or b"").decode("utf-8", "surrogateescape")
    tree.file(FSTAB, fstab_with(table, mounts).encode("utf-8", "surrogateescape"))


def add_beside_table(tree: RootTree, files: Mapping[PurePosixPath, bytes], mounts: Sequence[Mount]) -> None:
    """Put into a slot all that `add_to_system` does, but leave its table of mounts alone.

    Raises:
        RequestError: it cannot be put there.
    """
    for path, content in sorted(files.items()):
        tree.file(_absolute(path), content)
    tree.file(SETTINGS, _SETTINGS.encode())
    for mount in mounts:
        tree.directory(mount.point)
    if tree.kind(MEMORY_LINK) is None:
        tree.link(MEMORY_LINK, MEMORY)


def check_system(tree: ReadableTree, plan: BootPlan, name: str) -> None:
    """Check that a slot holds what the boot loader starts.

    Raises:
        RequestError: kernel, initial RAM disk or device tree is not there.
    """
    for what, path in (("kernel", plan.kernel), ("initrd", plan.initrd), ("devicetree", plan.devicetree)):
        if path is None:
            continue
        found = tree.kind(str(path))
        if found is not Kind.FILE:
            raise RequestError(
                f"cannot use {name} as a slot: it has no {path}, which the layout names as its {what}"
                if found is None
                else f"cannot use {name} as a slot: {path}, the {what}, is a {found.value}",
                hint=f"correct [boot] {what} in the layout, or put it into the root file system",
            )


def check_readable(kind: ImageKind, loader: Loader) -> None:
    """Check that the boot loader can read a kernel out of a slot of this kind.

    Raises:
        RequestError: it cannot.
    """
    if kind is ImageKind.EROFS and loader is Loader.GRUB:
        raise RequestError(
            "cannot boot from an erofs slot: GRUB cannot read it", hint="use ext4 or squashfs, or another boot loader"
        )


def check_unchangeable(
    tree: ReadableTree, files: Mapping[PurePosixPath, bytes], mounts: Sequence[Mount], name: str
) -> None:
    """Check that an image into which nothing can be put already holds what would be put there.

    Raises:
        RequestError: something is missing or different; the hint holds what it should be.
    """
    wanted = {_absolute(path): content for path, content in files.items()} | {SETTINGS: _SETTINGS.encode()}
    for path, content in sorted(wanted.items()):
        found = tree.read(path)
        if found != content:
            raise RequestError(
                f"cannot use {name} as a slot: {path} in it "
                + ("is missing" if found is None else "is not what this disk needs")
                + ", and nothing can be put into an image of this kind",
                hint="build it from the directory or tar file of its content, or with this in it:\n"
                + content.decode("utf-8", "replace"),
            )
    table = (tree.read(FSTAB) or b"").decode("utf-8", "replace").splitlines()
    for mount in mounts:
        if tree.kind(mount.point) is not Kind.DIRECTORY:
            raise RequestError(f"cannot use {name} as a slot: it has no directory {mount.point}")
        if mount.line not in table:
            raise RequestError(
                f"cannot use {name} as a slot: {FSTAB} in it does not mount {mount.point}",
                hint=f"it needs this line:\n{mount.line}",
            )


def init_of(tree: ReadableTree) -> Init:
    """Return what starts the system in a slot."""
    return Init.SYSTEMD if any(tree.kind(path) is Kind.FILE for path in _SYSTEMD) else Init.OTHER


def mounts_of(geometry: Geometry, loader: Loader, init: Init) -> tuple[Mount, ...]:
    """Return what the system in a slot mounts of the disk."""
    # On other systems this option is an error: busybox gives it to the kernel.
    patience = _PATIENCE if init is Init.SYSTEMD else ""
    line = f"PARTUUID={geometry.partition(DATA).uuid} {DATA_MOUNT} ext4 defaults,noatime{patience} 0 2"
    data = Mount(point=DATA_MOUNT, line=line)
    point = _BOOT_MOUNTS.get(loader)
    if point is None:
        return (data,)
    # A device whose boot partition cannot be mounted should still come up.
    line = f"PARTUUID={geometry.partition(BOOT).uuid} {point} vfat nofail,umask=0077 0 2"
    return (Mount(point=point, line=line), data)


def fstab_with(text: str, mounts: Sequence[Mount]) -> str:
    """Return a table with these mounts, and nothing else at their places."""
    points = {mount.point for mount in mounts}
    kept = [line for line in text.splitlines() if _mount_point(line) not in points]
    return "\n".join([*kept, *(mount.line for mount in mounts), ""])


def _mount_point(line: str) -> str | None:
    words = line.split()
    return words[1] if len(words) > 1 and not words[0].startswith("#") else None


def _absolute(path: PurePosixPath) -> str:
    return "/" + str(path).lstrip("/")


def memory_files(device_type: str) -> Iterator[tuple[str, bytes]]:
    """Yield path (in the data partition) and content of what the client finds in its memory from the start."""
    yield DEVICE_TYPE.removeprefix(DATA_MOUNT), f"device_type={device_type}\n".encode()
