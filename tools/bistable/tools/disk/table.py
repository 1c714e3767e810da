"""The partition table on the disk, which sfdisk writes."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from bistable.artifact.image.debugfs import open_path
from bistable.artifact.run import run
from bistable.tools.boot.plan import Loader
from bistable.tools.disk.geometry import BOOT, ENVIRONMENT, SLOT_BOOTS, Geometry, Partition
from bistable.tools.disk.layout.model import SECTOR, TableKind

_TIMEOUT: Final = 120.0

_SYSTEM: Final = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
"""EFI system partition."""

_BASIC: Final = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
"""Any FAT file system."""

_RESERVED: Final = "8DA63339-0007-60C0-C436-083AC8230908"
_LINUX: Final = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
"""Not the types by which systemd finds root file systems by itself: what runs is the boot loader's business."""

_MBR_FAT: Final = "c"
_MBR_EXTENDED: Final = "f"
_MBR_LINUX: Final = "83"
_MBR_RESERVED: Final = "da"
"""Data that is no file system."""


def write_table(file: BinaryIO, geometry: Geometry, loader: Loader) -> None:
    """Write the partition table to the open disk image, which already has its size.

    Raises:
        MachineError: sfdisk is missing or fails.
    """
    run(
        ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never", open_path(file)],
        timeout=_TIMEOUT,
        stdin="\n".join([*_script(geometry, loader), ""]).encode(),
    )


def _script(geometry: Geometry, loader: Loader) -> Iterator[str]:
    yield f"label: {'gpt' if geometry.table is TableKind.GPT else 'dos'}"
    yield f"label-id: {geometry.uuid if geometry.table is TableKind.GPT else '0x' + geometry.uuid}"
    yield "unit: sectors"
    if geometry.table is TableKind.GPT:
        # sfdisk would start at 1 MiB by itself.
        yield "first-lba: 34"
        yield f"last-lba: {geometry.size // SECTOR - 34}"
    yield ""
    if geometry.extended is not None:
        size = geometry.extended.size // SECTOR
        yield f"4 : start={geometry.extended.start // SECTOR}, size={size}, type={_MBR_EXTENDED}"
    for partition in geometry.partitions:
        place = f"{partition.number} : start={partition.start // SECTOR}, size={partition.size // SECTOR}"
        yield f"{place}, {_kind(geometry.table, partition, loader)}"


def _kind(table: TableKind, partition: Partition, loader: Loader) -> str:
    kind = partition_type(table, partition.name)
    mark = is_marked(table, partition.name, loader)
    if table is TableKind.MBR:
        return f"type={kind}{', bootable' if mark else ''}"
    attributes = ', attrs="LegacyBIOSBootable"' if mark else ""
    return f'type={kind}, uuid={partition.uuid.upper()}, name="{partition.name}"{attributes}'


def partition_type(table: TableKind, name: str) -> str:
    """Return the type of the partition called `name`: a GUID, or the hexadecimal digits of an MBR's."""
    if table is TableKind.MBR:
        fat = dict.fromkeys((BOOT, *SLOT_BOOTS), _MBR_FAT)
        return {**fat, ENVIRONMENT: _MBR_RESERVED}.get(name, _MBR_LINUX)
    return {BOOT: _SYSTEM, ENVIRONMENT: _RESERVED, **dict.fromkeys(SLOT_BOOTS, _BASIC)}.get(name, _LINUX)


def is_marked(table: TableKind, name: str, loader: Loader) -> bool:
    """Return whether the partition called `name` is marked as the one to boot from."""
    # U-Boot looks for boot scripts on partitions with this mark.
    return name == BOOT and (table is TableKind.MBR or loader is not Loader.GRUB)
