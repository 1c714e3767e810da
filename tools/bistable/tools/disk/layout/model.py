"""What a layout asks for: plain values, checked by themselves but not yet laid out on a disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.image import ImageKind
from bistable.artifact.limits import MIB
from bistable.tools.boot.plan import DEFAULT_TRIES, Loader

SECTOR: Final = 512
"""Bytes of a sector: what every boot loader here reads."""

DEFAULT_ERASE_BLOCK: Final = MIB
DEFAULT_KERNEL: Final = PurePosixPath("/boot/vmlinuz")


class TableKind(StrEnum):
    """The kind of partition table."""

    GPT = "gpt"
    MBR = "mbr"


class Fill(StrEnum):
    """Which slots hold the root file system from the build."""

    BOTH = "both"
    FIRST = "first"


class ExtraKind(StrEnum):
    """What is made in an extra partition."""

    EXT4 = "ext4"
    FAT = "fat"
    NOTHING = "none"


class ExtraPlace(StrEnum):
    """Where an extra partition lies: in front of all others, or between the slots and the data partition."""

    FRONT = "front"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskWish:
    """The disk: `size` in bytes, None for the smallest that fits; `seed` is what all identifiers are made from."""

    table: TableKind = TableKind.GPT
    size: int | None = None
    erase_block: int = DEFAULT_ERASE_BLOCK
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BootWish:
    """What boots it; paths are those in the slot."""

    loader: Loader
    architecture: str = "amd64"
    tries: int = DEFAULT_TRIES
    kernel: PurePosixPath = DEFAULT_KERNEL
    initrd: PurePosixPath | None = None
    devicetree: PurePosixPath | None = None
    arguments: str = ""
    disk: str = "virtio 0"
    watchdog: str | None = None
    addresses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentWish:
    """The boot loader's environment: bytes of a copy, and where the two start in their partition; None: by default."""

    size: int | None = None
    offsets: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotsWish:
    """The two slots: bytes of each, and the file system that is made if what goes in is none yet."""

    size: int
    filesystem: ImageKind = ImageKind.EXT4
    fill: Fill = Fill.BOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWish:
    """The data partition: bytes, None for the rest of the disk; and a directory with what is in it at first."""

    size: int | None
    files: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraWish:
    """One more partition."""

    name: str
    size: int
    filesystem: ExtraKind = ExtraKind.NOTHING
    content: Path | None = None
    """An image that is written into it, or a directory that its file system holds."""
    place: ExtraPlace = ExtraPlace.BEHIND


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file that is written beside all partitions, such as a first stage of a boot loader; `offset` in bytes."""

    file: Path
    written: str
    """The same as the layout has it."""
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All that a layout says. Paths of files on this machine are absolute or relative to the working directory."""

    name: str
    device_type: str
    disk: DiskWish
    boot: BootWish
    boot_partition_size: int
    boot_files: Mapping[PurePosixPath, Path] = field(default_factory=dict)
    blobs: tuple[Blob, ...] = ()
    blobs_end: int | None = None
    """Where partitions may begin; None: behind the last one of the files, which then have to be there."""
    environment: EnvironmentWish = field(default_factory=EnvironmentWish)
    slots: SlotsWish
    data: DataWish
    extras: tuple[ExtraWish, ...] = ()
