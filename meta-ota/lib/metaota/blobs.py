"""Files in front of the first partition, such as first stages of boot loaders: where they lie, and what fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from metaota import Get

HEADS = {"gpt": 17, "mbr": 1}
"""KiB from which on the partition table leaves the disk free."""


def places(get: Get) -> list[tuple[str, int]]:
    """Return name and place, in KiB, of each file, in their order on the disk.

    Raises:
        ValueError: one of them is not written as it should be.
    """
    found = [word.split(":") for word in (get("BISTABLE_BLOBS") or "").split()]
    return sorted(((name, int(place)) for name, place in found), key=lambda file: file[1])


def mistakes(get: Get) -> list[str]:
    """Return what is wrong with where the files lie; those of a layout of one's own are its business."""
    files, end = places(get), int(get("BISTABLE_BLOBS_END_MB") or "0")
    if not files or get("BISTABLE_LAYOUT"):
        return []
    if end == 0:
        return [
            (
                "BISTABLE_BLOBS_END_MB is not set, and BISTABLE_BLOBS has files. Set it to where partitions may begin, "
                f'with room for larger files, like BISTABLE_BLOBS_END_MB = "{max(16, 2 * (files[-1][1] >> 10))}".'
            )
        ]
    head = HEADS[get("BISTABLE_PARTITION_TABLE") or ""]
    whys = [_why(file, files[:index], head, end) for index, file in enumerate(files)]
    return [
        f"BISTABLE_BLOBS has {name}:{place}, and {why}." for (name, place), why in zip(files, whys) if why is not None
    ]


def _why(file: tuple[str, int], before: list[tuple[str, int]], head: int, end: int) -> str | None:
    name, place = file
    if place < head:
        return f"the partition table takes the disk up to {head} KiB"
    if place >= end << 10:
        return f"partitions begin at {end << 10} KiB, by BISTABLE_BLOBS_END_MB"
    if before and before[-1][1] == place:
        return f"{before[-1][0]} is there, too"
    return "it is named twice" if name in [other for other, _ in before] else None


def misfits(get: Get, size_of: Callable[[str], int | None]) -> list[str]:
    """Return which files are not there, or too large; `size_of` gives the bytes of one, None if it is not there."""
    files = [] if get("BISTABLE_LAYOUT") else places(get)
    ends = [*files[1:], ("the first partition", int(get("BISTABLE_BLOBS_END_MB") or "0") << 10)]
    found = []
    for (name, place), (after, limit) in zip(files, ends):
        size, room = size_of(name), limit - place
        if size is None:
            found.append(
                f"BISTABLE_BLOBS has {name}, and there is no such file in DEPLOY_DIR_IMAGE. BISTABLE_BLOBS_RECIPES has "
                f"to name the recipe that deploys it, and is '{get('BISTABLE_BLOBS_RECIPES') or ''}'."
            )
        elif size > room << 10:
            found.append(
                f"BISTABLE_BLOBS has {name} at {place} KiB: it has {-(-size >> 10)} KiB, and {after} begins {room} KiB "
                "behind that place."
            )
    return found
