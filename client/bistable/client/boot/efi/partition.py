"""On which partition a mounted directory is, as the kernel tells it."""

import os
from pathlib import Path
from typing import Final
from uuid import UUID

from bistable.client.boot.efi.entry import Partition
from bistable.client.errors import BootError, ProgramError
from bistable.client.run import run

SYSFS: Final = Path("/sys")
DEVICES: Final = Path("/dev")
_SECTOR: Final = 512
"""Bytes in which sysfs counts, whatever the disk's blocks are."""

_BLKID_SECONDS: Final = 30.0


def partition_of(directory: Path, *, sysfs: Path = SYSFS, devices: Path = DEVICES) -> Partition:
    """Return the partition of a GPT on which a directory is.

    Raises:
        BootError: it is on none.
    """
    try:
        number = directory.stat().st_dev
        place = (sysfs / "dev/block" / f"{os.major(number)}:{os.minor(number)}").resolve(strict=True)
        block = int((place.parent / "queue/logical_block_size").read_text("ascii"))
        return Partition(
            number=int((place / "partition").read_text("ascii")),
            start=int((place / "start").read_text("ascii")) * _SECTOR // block,
            size=int((place / "size").read_text("ascii")) * _SECTOR // block,
            guid=_guid(place, devices),
        )
    except (OSError, ValueError) as e:
        raise BootError(
            f"cannot make a boot entry: {directory} is not on a partition of a GPT ({e})",
            hint="mount the boot partition, and set boot.directory if that is elsewhere; or make the entries with "
            "efibootmgr",
        ) from e


def _guid(place: Path, devices: Path) -> UUID:
    """Return the partition's GUID; the kernel itself tells it from Linux 6.9 on, udev and blkid always."""
    for line in (place / "uevent").read_text("utf-8", "replace").splitlines():
        if line.startswith("PARTUUID="):
            return UUID(line.removeprefix("PARTUUID="))
    device = devices / place.name
    for link in sorted((devices / "disk/by-partuuid").glob("*")):
        if link.resolve() == device.resolve():
            return UUID(link.name)
    try:
        return UUID(run(["blkid", "-s", "PARTUUID", "-o", "value", device], timeout=_BLKID_SECONDS).text.strip())
    except ProgramError as e:
        raise ValueError(f"{device} has no PARTUUID: {e}") from e
