"""Devices: what identifies one, whatever it is called; where it is mounted; how large it is.

A device has many names (`/dev/mmcblk0p2`, `/dev/disk/by-partlabel/rootfs-a`, `PARTUUID=...`, `ubi0:rootfs`), so names
are never compared. What is compared is an identity: `254:0` for the block device of that number, `char 243:1` for a
UBI volume, `file 2049:131` for a regular file that plays a device.
"""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.client.errors import SlotError

MOUNTS: Final = Path("/proc/self/mountinfo")
DEVICES: Final = Path("/dev")
SYSFS: Final = Path("/sys")

BY_TAG: Final = {
    "PARTUUID": "by-partuuid",
    "UUID": "by-uuid",
    "LABEL": "by-label",
    "PARTLABEL": "by-partlabel",
}
"""How the kernel and initramfs name a root device -> the directory where udev has links of that kind."""

_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_UBI: Final = re.compile(r"ubi(\d+)([_:])(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A line of /proc/self/mountinfo: the device by number, where it is mounted, and what it was called then."""

    identity: str
    point: Path
    source: str


def read_mounts(path: Path = MOUNTS) -> tuple[Mount, ...]:
    """Return what is mounted, oldest first.

    Raises:
        SlotError: the kernel does not tell.
    """
    try:
        return parse_mounts(path.read_text("utf-8", "surrogateescape"))
    except OSError as e:
        raise SlotError(f"cannot see what is mounted: {e}", hint="is /proc mounted?") from e


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Take /proc/self/mountinfo apart; lines of another form are not ours to understand. proc_pid_mountinfo(5)"""
    mounts = []
    for line in text.splitlines():
        front, found, back = line.partition(" - ")
        fields, rest = front.split(" "), back.split(" ")
        if found and len(fields) >= 5 and len(rest) >= 2:
            mounts.append(Mount(identity=fields[2], point=Path(_unescape(fields[4])), source=_unescape(rest[1])))
    return tuple(mounts)


def identify(name: str, *, devices: Path = DEVICES, sysfs: Path = SYSFS) -> str | None:
    """Return what identifies the device of that name, or None if there is no such device.

    The name may be a path, a tag such as `PARTUUID=...` in the forms the kernel and udev know, or a UBI volume.
    """
    tag, found, value = name.partition("=")
    if found and tag in BY_TAG:
        # udev writes what would not fit in a file name as \x and two digits.
        link = _udev_name(value.strip('"'))
        directory = devices / "disk" / BY_TAG[tag]
        return _identity(directory / link) or _identity(directory / link.lower())
    volume = _UBI.fullmatch(name.removeprefix("/dev/"))
    if volume:
        return _identity(devices / (_ubi_volume(volume, sysfs) or "no such volume"))
    return _identity(Path(name)) if name.startswith("/") else None


def mounted_at(device: Path, mounts: Iterable[Mount] | None = None) -> Path | None:
    """Return where the device is mounted, or None; of several places one.

    Raises:
        SlotError: the kernel does not tell what is mounted.
    """
    wanted = identify(str(device))
    if wanted is None:
        return None
    for mount in read_mounts() if mounts is None else mounts:
        # Where the number is of no device (btrfs, UBIFS), the source still names it.
        if wanted in {mount.identity, identify(mount.source)}:
            return mount.point
    return None


def size_of(device: Path, *, sysfs: Path = SYSFS) -> int:
    """Return how many bytes the device holds: a block device, a UBI volume or a regular file.

    Raises:
        SlotError: it is not there, cannot be opened, or is something else.
    """
    try:
        found = device.stat()
        if stat.S_ISCHR(found.st_mode):
            return _ubi_size(device, found.st_rdev, sysfs)
        if not stat.S_ISBLK(found.st_mode) and not stat.S_ISREG(found.st_mode):
            raise SlotError(f"cannot use {device} as a slot: it is neither a block device, a UBI volume nor a file")
        with device.open("rb") as file:
            return file.seek(0, os.SEEK_END)
    except OSError as e:
        raise SlotError(
            f"cannot find the size of {device}: {e.strerror or e}", hint="check the slots' devices in the configuration"
        ) from e


def _ubi_size(device: Path, number: int, sysfs: Path) -> int:
    path = sysfs / "dev" / "char" / f"{os.major(number)}:{os.minor(number)}" / "data_bytes"
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError) as e:
        raise SlotError(f"cannot find the size of {device}: it is a character device, but no UBI volume") from e


def _ubi_volume(volume: re.Match[str], sysfs: Path) -> str | None:
    """Return the volume by number, `ubi0_1`, for `ubi0_1` as well as for `ubi0:name`."""
    number, separator, rest = volume.groups()
    if separator == "_":
        return volume[0]
    for name in sorted((sysfs / "class" / "ubi").glob(f"ubi{number}_*/name")):
        try:
            if name.read_text("utf-8").strip() == rest:
                return name.parent.name
        except OSError:
            continue
    return None


def _identity(path: Path) -> str | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    if stat.S_ISBLK(found.st_mode):
        return number
    if stat.S_ISCHR(found.st_mode):
        return f"char {number}"
    return f"file {found.st_dev}:{found.st_ino}" if stat.S_ISREG(found.st_mode) else None


def _udev_name(value: str) -> str:
    """Write a label as udev names its link: what is neither ordinary nor valid UTF-8 beyond ASCII as \\xNN."""
    return "".join(
        letter if letter.isalnum() or letter in "#+-.:=@_" or ord(letter) > 127 else f"\\x{ord(letter):02x}"
        for letter in value
    )


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
