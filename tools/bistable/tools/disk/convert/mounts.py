"""The table of mounts of a system that moves to a disk with two slots."""

from dataclasses import dataclass
from typing import Final

ROOT_DEVICE: Final = "/dev/root"
"""No device of that name is needed: systemd and initial RAM disks take the root that the kernel was told. A name of
one of the slots would be wrong in the other, and the UUID of the file system is the same in both."""

_BY_DEVICE: Final = ("UUID=", "PARTUUID=", "LABEL=", "PARTLABEL=", "/dev/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounts:
    """A new table, and what was taken out of it because it is not on the new disk."""

    text: str
    dropped: tuple[str, ...]


def moved_mounts(text: str, *, boot: str | None) -> Mounts:
    """Return the table for the new disk; `boot` is the new PARTUUID of the boot partition, None if it is not mounted.

    The root is whatever was booted, the boot partition is the new one, and other disks are left out.
    """
    lines: list[str] = []
    dropped: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith("#"):
            lines.append(line)
        elif words[1] == "/":
            lines.append(_with_device(words, ROOT_DEVICE))
        elif words[1].startswith("/boot") and len(words) > 2 and words[2] in {"vfat", "auto", "msdos"}:
            if boot is not None:
                lines.append(_with_device(words, f"PARTUUID={boot}"))
            else:
                lines.append(_commented(line))
                dropped.append(words[1])
        elif words[0].startswith(_BY_DEVICE):
            lines.append(_commented(line))
            dropped.append(words[1] if words[1] not in {"none", "swap"} else "swap")
        else:
            lines.append(line)
    return Mounts(text="\n".join([*lines, ""]), dropped=tuple(dropped))


def _commented(line: str) -> str:
    return f"# was on the disk before the conversion: {line.strip()}"


def _with_device(words: list[str], device: str) -> str:
    return " ".join([device, *words[1:]])
