"""Sizes of partitions in MiB, from that of the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from metaota import firmware

if TYPE_CHECKING:
    from metaota import Get


COUNTED = ("STORAGE_SIZE_MB", "BOOT_SIZE_MB", "DATA_SIZE_MB", "ERASE_BLOCK_MB")
ENVIRONMENTS = ("grub", "uboot", "uboot-environment")
"""Boot loaders that keep their memory on a partition of its own: two copies, each in an erase block of its own."""

CHOICE = 16
"""MiB of the partition with which the firmware of a Raspberry Pi begins; each slot has a boot partition besides."""

PRIMARY = 4
"""Partitions that a master boot record has places for; if there are more, the last place holds all others."""


FRONT = "front"
"""What stands behind an extra partition that lies in front of all others."""


class Extra(NamedTuple):
    """An extra partition; `size` in MiB, `front` if it lies in front of all others."""

    name: str
    size: int
    filesystem: str
    front: bool


def extras(get: Get) -> list[Extra]:
    """Return the extra partitions, in their order.

    Raises:
        ValueError: one of them is not written as it should be.
    """
    found = []
    for word in (get("BISTABLE_EXTRA_PARTITIONS") or "").split():
        name, size, filesystem, *place = word.split(":")
        if place not in ([], [FRONT]):
            raise ValueError(word)
        found.append(Extra(name, int(size), filesystem, bool(place)))
    return found


def slot(get: Get) -> int:
    """Return the size of each slot: the largest that is whole erase blocks and leaves the other partitions theirs.

    0 if nothing is left, or if a size is no number, which the checks tell.
    """
    try:
        storage, boot, data, block = (int(get(f"BISTABLE_{name}") or "") for name in COUNTED)
        blobs, more = int(get("BISTABLE_BLOBS_END_MB") or "0"), [extra.size for extra in extras(get)]
    except ValueError:
        return 0
    if block < 1:
        return 0
    boots = [CHOICE, boot, boot] if firmware.chooses(get) else [boot]
    others = [*boots, *more, *([2 * block] if get("BISTABLE_BOOTLOADER") in ENVIRONMENTS else [])]
    used = max(block, _whole(blobs, block)) + sum(_whole(size, block) for size in others)
    mbr = get("BISTABLE_PARTITION_TABLE") == "mbr"
    count = len(others) + 3
    if mbr and count > PRIMARY:
        # In front of each partition that the table itself has no place for lies a record that describes it.
        used += (count - PRIMARY + 1) * block
    # Data is the last one: it has an erase block at least, need not end with one, and is followed by a copy of the GPT.
    start = (storage - max(data, block) - (0 if mbr else 1)) // block * block
    return max(0, (start - used) // 2 // block * block)


def _whole(size: int, block: int) -> int:
    return -(-size // block) * block
