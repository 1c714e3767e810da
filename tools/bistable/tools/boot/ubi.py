"""Two slots in volumes of UBI on raw NAND flash, which U-Boot starts: what is known before anything is made from it.

`ubifiles.ubi_files` makes scripts and settings from it, `ubigeometry` the numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from bistable.tools.boot.plan import DEFAULT_TRIES

UBIFS: Final = "ubifs"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashPartition:
    """A partition of the flash (MTD), in bytes; the last one may take the rest: `size` None."""

    name: str
    offset: int
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flash:
    """Raw NAND, sizes in bytes; `mtd_id` is what `mtdparts` calls it (`gpmi-nand`), `uboot` what `mtdids` does.

    `sub_page` is the smallest write that the drivers of U-Boot and Linux can do: a page where they have no sub-pages.
    """

    size: int
    erase_block: int
    page: int
    sub_page: int
    mtd_id: str
    uboot: str
    partitions: tuple[FlashPartition, ...]
    """In the order of their offsets, which is that of their numbers in Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UbiPlan:
    """Everything that boot script, settings and images of UBI have to know. Slot a is what a new device boots."""

    flash: Flash
    partition: str
    """The partition of the flash that UBI has."""
    slot_size: int
    """Bytes of each slot; a whole number of UBI's blocks is made of it."""
    data_size: int | None
    """None: what is left."""
    environment_size: int
    """Bytes of one copy of U-Boot's environment."""
    environment: tuple[str, str] | None
    """Two partitions of the flash; None: two volumes of UBI."""
    kernel: PurePosixPath
    """In the slot, such as `/boot/zImage`."""
    initrd: PurePosixPath | None = None
    devicetree: PurePosixPath | None = None
    """In the slot; None: the one that U-Boot itself was started with."""
    arguments: str = ""
    """The kernel's arguments, without what finds the root file system."""
    architecture: str = "armhf"
    """As Debian calls it."""
    filesystem: str = UBIFS
    """What is in the slots."""
    tries: int = DEFAULT_TRIES
    addresses: Mapping[str, int] = field(default_factory=dict)
    """U-Boot: name -> where in memory, for boards that lack kernel_addr_r, ramdisk_addr_r, scriptaddr or fdt_addr_r."""
    watchdog: str | None = None
    """The watchdog that U-Boot starts unless the board's own environment names one, as `wdt list` shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UbiFiles:
    """What `ubi_files` makes: texts of files, and arguments of the programs that make the image."""

    script: str
    """boot.cmd: `mkimage -T script` makes the boot.scr of it that lies in a volume of its own."""
    ubinize: str
    """ubinize.cfg"""
    fw_env: str
    """/etc/fw_env.config"""
    fstab: str
    """The lines for /etc/fstab of both slots."""
    uboot: str
    """uboot.config: what U-Boot has to be built with."""
    client: str
    """/etc/bistable/conf.d/40-boot.toml"""
    mkfs_arguments: tuple[str, ...]
    """Of mkfs.ubifs, for the image of a slot."""
    ubinize_arguments: tuple[str, ...]
