"""Sizes of partitions in MiB, from that of the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaota.machine import Get


COUNTED = ("STORAGE_SIZE_MB", "BOOT_SIZE_MB", "DATA_SIZE_MB", "ERASE_BLOCK_MB")
ENVIRONMENTS = ("grub", "uboot", "uboot-environment")
"""Boot loaders that keep their memory on a partition of its own: two copies, each in an erase block of its own."""


def extras(get: Get) -> list[tuple[str, int, str]]:
    """Return name, size in MiB and file system of the extra partitions.

    Raises:
        ValueError: one of them is not written as it should be.
    """
    found = []
    for word in (get("BISTABLE_EXTRA_PARTITIONS") or "").split():
        name, size, filesystem = word.split(":")
        found.append((name, int(size), filesystem))
    return found


def slot(get: Get) -> int:
    """Return the size of each slot: half of what the other partitions leave, in whole erase blocks.

    0 if nothing is left, or if a size is no number, which the checks tell.
    """
    try:
        storage, boot, data, block = (int(get(f"BISTABLE_{name}") or "") for name in COUNTED)
        blobs, more = int(get("BISTABLE_BLOBS_END_MB") or "0"), [size for _, size, _ in extras(get)]
    except ValueError:
        return 0
    if block < 1:
        return 0
    head = max(block, _whole(blobs, block))
    environment = 2 * block if get("BISTABLE_BOOTLOADER") in ENVIRONMENTS else 0
    others = sum(_whole(size, block) for size in [boot, data, *more])
    # The last block holds the second copy of the partition table.
    return max(0, (storage - head - environment - others - block) // 2 // block * block)


def _whole(size: int, block: int) -> int:
    return -(-size // block) * block
