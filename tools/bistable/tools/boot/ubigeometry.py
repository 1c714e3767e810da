"""How volumes of UBI lie on raw NAND: sizes of blocks, and what has to stay free.

The numbers are those of the Linux kernel and of U-Boot, which share the code: drivers/mtd/ubi/build.c (offsets, bad
blocks), ubi.h (blocks that UBI takes for itself), fs/ubifs/ubifs-media.h (the smallest file system).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bistable.artifact.errors import RequestError, quoted
from bistable.artifact.limits import KIB
from bistable.tools.boot.ubi import Flash, FlashPartition, UbiPlan

ENVIRONMENTS: Final = ("uboot-env", "uboot-env-r")
SCRIPT: Final = "boot-script"
DATA: Final = "data"

_HEADER: Final = 64
"""Bytes of each of the two headers of a block."""

OWN_BLOCKS: Final = 4
"""Two for the table of volumes, one to move a block, one to change one at once."""

BAD_IN_1024: Final = 20
"""CONFIG_MTD_UBI_BEB_LIMIT, which nobody has to set."""

SMALLEST_UBIFS: Final = 17
"""UBIFS_MIN_LEB_CNT"""
SMALLEST_LEB: Final = 15 * KIB
"""UBIFS_MIN_LEB_SZ"""

_SCRIPT_ROOM: Final = 64 * KIB
"""For a boot script, of which a later one may be larger."""


class VolumeKind(Enum):
    """Whether the content of a volume may change by itself: U-Boot checks a static one when it reads it."""

    STATIC = "static"
    DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume: its fixed number, and how many blocks it has; `grows`: it takes what is left when it is first used."""

    name: str
    number: int
    blocks: int
    kind: VolumeKind = VolumeKind.DYNAMIC
    grows: bool = False

    @property
    def node(self) -> str:
        """Return its node in Linux. It is named by number: the kernel makes none that has the name."""
        return f"/dev/ubi0_{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UbiGeometry:
    """The volumes. `blocks` are all of the partition, of which UBI keeps `reserved`; `leb` is what one holds."""

    blocks: int
    leb: int
    vid_offset: int
    reserved: int
    volumes: tuple[Volume, ...]

    @property
    def free(self) -> int:
        """Return how many blocks no volume has, if a growing one has not grown yet."""
        return self.blocks - self.reserved - sum(volume.blocks for volume in self.volumes)

    def volume(self, name: str) -> Volume:
        """Return the volume called `name`."""
        return next(volume for volume in self.volumes if volume.name == name)


def slot_volume(slot: str) -> str:
    """Return the name of the volume of a slot."""
    return f"rootfs-{slot}"


def vid_offset(flash: Flash) -> int:
    """Return where the second header of a block starts."""
    return _up(_HEADER, flash.sub_page)


def leb_size(flash: Flash) -> int:
    """Return how many bytes of a block are of use: what its two headers leave."""
    return flash.erase_block - _up(vid_offset(flash) + _HEADER, flash.page)


def reserved_blocks(flash: Flash) -> int:
    """Return how many blocks of UBI's partition no volume may have. Bad blocks are counted for the whole chip."""
    return OWN_BLOCKS + -(-(flash.size // flash.erase_block) * BAD_IN_1024 // 1024)


def partition_size(flash: Flash, partition: FlashPartition) -> int:
    """Return the bytes of a partition, also of one that takes the rest."""
    return flash.size - partition.offset if partition.size is None else partition.size


def partition_named(flash: Flash, name: str) -> FlashPartition:
    """Return a partition.

    Raises:
        RequestError: there is none.
    """
    for partition in flash.partitions:
        if partition.name == name:
            return partition
    raise RequestError(f"cannot lay out UBI: the flash has no partition {quoted(name)}")


def place_volumes(plan: UbiPlan) -> UbiGeometry:
    """Return the volumes, with numbers that are the same for every board.

    Raises:
        RequestError: they do not fit, or are too small for UBIFS.
    """
    flash = plan.flash
    leb = leb_size(flash)
    in_ubi = plan.environment is None
    slots = _blocks(plan.slot_size, leb)
    data = SMALLEST_UBIFS if plan.data_size is None else _blocks(plan.data_size, leb)
    sizes: tuple[tuple[str, int, bool], ...] = (
        *((name, _blocks(plan.environment_size, leb), in_ubi) for name in ENVIRONMENTS),
        (SCRIPT, _blocks(_SCRIPT_ROOM, leb), True),
        *((slot_volume(slot), slots, True) for slot in ("a", "b")),
        (DATA, data, True),
    )
    geometry = UbiGeometry(
        blocks=partition_size(flash, partition_named(flash, plan.partition)) // flash.erase_block,
        leb=leb,
        vid_offset=vid_offset(flash),
        reserved=reserved_blocks(flash),
        volumes=tuple(
            Volume(
                name=name,
                number=number,
                blocks=blocks,
                kind=VolumeKind.STATIC if name == SCRIPT else VolumeKind.DYNAMIC,
                grows=name == DATA and plan.data_size is None,
            )
            for number, (name, blocks, wanted) in enumerate(sizes)
            if wanted
        ),
    )
    _check(geometry, {slot_volume("a"): slots, DATA: data}.items())
    return geometry


def _check(geometry: UbiGeometry, file_systems: Iterable[tuple[str, int]]) -> None:
    for name, blocks in file_systems:
        if blocks < SMALLEST_UBIFS:
            raise RequestError(
                f"cannot lay out UBI: the volume {name} has {blocks} blocks of {geometry.leb} bytes, "
                f"and UBIFS needs {SMALLEST_UBIFS}",
                hint=f"give it {SMALLEST_UBIFS * geometry.leb // KIB + 1} KiB or more",
            )
    if geometry.free < 0:
        used = sum(volume.blocks for volume in geometry.volumes)
        raise RequestError(
            f"cannot lay out UBI: its partition has {geometry.blocks} blocks, the volumes need {used}, "
            f"and {geometry.reserved} are kept for bad blocks and UBI itself",
            hint=f"make slots or data {-geometry.free * geometry.leb // KIB + 1} KiB smaller",
        )


def _blocks(size: int, leb: int) -> int:
    return -(-size // leb)


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
