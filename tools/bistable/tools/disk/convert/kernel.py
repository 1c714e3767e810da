"""The kernel and its initial RAM disk, found wherever an image keeps them, and put where the boot script looks."""

import gzip
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.image import Entry, Kind
from bistable.artifact.image.volume import Volume, find
from bistable.tools.boot.render import COMMANDS
from bistable.tools.disk.layout.model import BootWish
from bistable.tools.disk.tree.port import RootTree

BOOT: Final = "/boot"
_VERSIONED: Final = re.compile(r"vmlinuz-(.+)")
_INITRDS: Final = ("initrd.img-{}", "initramfs-{}.img", "initrd-{}")
_GZIP: Final = b"\x1f\x8b"
_DIGITS: Final = re.compile(r"([0-9]+)")
_KERNEL_LIMIT: Final = 256 << 20

FIRMWARE_KERNELS: Final[Mapping[str, tuple[str, ...]]] = {
    "arm64": ("kernel8.img", "kernel_2712.img"),
    "armhf": ("kernel7l.img", "kernel7.img", "kernel.img"),
}
"""What the firmware of a Raspberry Pi starts from its FAT partition, by architecture."""

NOT_KEPT: Final = re.compile(r"(kernel[0-9a-z_]*\.img|initramfs[0-9a-z_]*|vmlinuz.*|initrd.*)", re.IGNORECASE)
"""What lay on the boot partition and lies in the slots from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKernel:
    """Where a kernel is, a path in the root file system, or a file from the boot partition; the same for its initrd."""

    kernel: str | Path
    initrd: str | Path | None


def find_kernel(volume: Volume, boot_files: Mapping[PurePosixPath, Path], wish: BootWish) -> FoundKernel:
    """Find kernel and initial RAM disk: where the layout says, else the newest in /boot, else on the boot partition.

    Raises:
        RequestError: there is none.
    """
    if _is_file(volume, str(wish.kernel)):
        initrd = str(wish.initrd) if wish.initrd is not None and _is_file(volume, str(wish.initrd)) else None
        if initrd is not None or wish.initrd is None:
            return FoundKernel(kernel=str(wish.kernel), initrd=initrd)
    versions = sorted(_versions(volume), key=_version_key)
    if versions:
        version = versions[-1]
        names = [f"{BOOT}/{form.format(version)}" for form in _INITRDS]
        names += [] if wish.initrd is None else [str(wish.initrd)]
        return FoundKernel(
            kernel=f"{BOOT}/vmlinuz-{version}", initrd=next((name for name in names if _is_file(volume, name)), None)
        )
    for name in FIRMWARE_KERNELS.get(wish.architecture, ()):
        path = PurePosixPath(name)
        if path in boot_files:
            initrd_path = PurePosixPath(name.replace("kernel", "initramfs").removesuffix(".img"))
            return FoundKernel(kernel=boot_files[path], initrd=boot_files.get(initrd_path))
    raise RequestError(
        f"cannot convert the image: there is no kernel in it, neither {wish.kernel} nor {BOOT}/vmlinuz-*"
        + (f" nor {', '.join(FIRMWARE_KERNELS[wish.architecture])}" if wish.architecture in FIRMWARE_KERNELS else ""),
        hint="is [boot] architecture in the layout that of the image?",
    )


def put_kernel(tree: RootTree, found: FoundKernel, wish: BootWish) -> None:
    """Put the kernel where the layout says; a link if it is in the root file system and can be started as it is."""
    _put(tree, found.kernel, str(wish.kernel), unpack=COMMANDS[wish.architecture] == "booti")
    if found.initrd is not None and wish.initrd is not None:
        _put(tree, found.initrd, str(wish.initrd), unpack=False)


def _put(tree: RootTree, source: str | Path, target: str, *, unpack: bool) -> None:
    content = source.read_bytes() if isinstance(source, Path) else None
    if content is None and unpack:
        content = tree.read(str(source))
    if content is not None and unpack and content.startswith(_GZIP):
        # U-Boot's booti takes the plain image; what it does with a compressed one depends on how it was built.
        tree.file(target, _unpacked(content))
    elif isinstance(source, Path):
        tree.file(target, source)
    elif source != target:
        above, _, name = source.rpartition("/")
        same = target.rpartition("/")[0] == above
        tree.link(target, name if same else source)


def _unpacked(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as e:
        raise RequestError(f"cannot unpack the kernel in the image: {e}") from e


def _versions(volume: Volume) -> Iterable[str]:
    directory = find(volume, BOOT)
    if directory is None or directory.kind is not Kind.DIRECTORY:
        return
    for entry in volume.entries(directory):
        match = _VERSIONED.fullmatch(entry.name)
        if match and entry.kind is Kind.FILE:
            yield match[1]


def _version_key(version: str) -> list[tuple[int, str]]:
    """Return what versions are sorted by: numbers in them as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(version)]


def _is_file(volume: Volume, path: str) -> bool:
    found: Entry | None = find(volume, path)
    return found is not None and found.kind is Kind.FILE
