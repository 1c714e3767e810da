"""Where something lies outside of file systems: a device or a file, and how far from its start.

A place is written as `/dev/mmcblk0p3@65536`, `PARTLABEL=boot-env@0` or `/boot/efi/env1`; the number may be hexadecimal
(`@0x10000`), and is 0 if it is missing.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.client.errors import BootError

DEVICES: Final = Path("/dev")
BLOCK_CLASS: Final = Path("/sys/class/block")
LARGEST: Final = 2**40

_PLACE: Final = re.compile(r"(?P<name>.+?)(@(?P<offset>0[xX][0-9a-fA-F]+|[0-9]+))?")
_TAGS: Final = {"PARTUUID": ("by-partuuid", "PARTUUID"), "PARTLABEL": ("by-partlabel", "PARTNAME")}
"""Tag -> the directory of links that udev makes, and what the kernel calls it in /sys/class/block/*/uevent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A device or file, and where in it, in bytes."""

    path: Path
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.path} at {self.offset}"


def find_place(text: str, *, devices: Path = DEVICES, block_class: Path = BLOCK_CLASS) -> Place:
    """Return the place that is written so.

    Raises:
        BootError: it is written in another way, or there is no such partition.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise BootError(f"cannot use {text!r} as a place", hint="write it as /dev/mmcblk0p3@65536")
    offset = int(found["offset"] or "0", 0 if (found["offset"] or "0")[:2].lower() == "0x" else 10)
    if offset > LARGEST:
        raise BootError(f"cannot use {text!r} as a place: it is farther than any partition is long")
    return Place(path=find_partition(found["name"], devices=devices, block_class=block_class), offset=offset)


def find_partition(name: str, *, devices: Path = DEVICES, block_class: Path = BLOCK_CLASS) -> Path:
    """Return the path of a device or file that is given as absolute path, `PARTUUID=...` or `PARTLABEL=...`.

    Raises:
        BootError: it is given in another way, or there is no such partition.
    """
    if name.startswith("/"):
        return Path(name)
    tag, _, value = name.partition("=")
    if tag not in _TAGS or not value or "/" in value:
        raise BootError(
            f"cannot find the partition {name!r}: it is neither an absolute path nor PARTUUID=... nor PARTLABEL=..."
        )
    directory, key = _TAGS[tag]
    for spelling in dict.fromkeys((value, value.lower())):
        link = devices / "disk" / directory / spelling
        if link.exists():
            return link
    # Where no udev runs, the kernel itself knows names and, since Linux 6.9, UUIDs.
    for event in sorted(block_class.glob("*/uevent")):
        try:
            lines = event.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        if f"{key}={value}" in lines or f"{key}={value.lower()}" in lines:
            return devices / event.parent.name
    raise BootError(
        f"cannot find the partition {name}", hint="`lsblk -o NAME,PARTLABEL,PARTUUID` shows those that there are"
    )
