"""The boot partition of a slot: what the new system brings for it, and the arguments that belong to the slot."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from bistable.client.boot.placing import inside, place_files
from bistable.client.errors import BootError, ClientError, ProgramError
from bistable.client.files import read_limited

CONFIG: Final = "config.txt"
CMDLINE: Final = "cmdline.txt"
AUTOBOOT: Final = "autoboot.txt"

OWN: Final = ("root=", "bistable.slot=")
"""Kernel arguments that belong to the slot and not to the system that is in it."""

MOST_FILES: Final = 10_000
_MOST_CMDLINE: Final = 4096


def place_boot_files(
    root: Path,
    source: Path,
    partition: Path,
    *,
    mounted: Callable[[Path], AbstractContextManager[Path]],
) -> None:
    """Copy all files below `source` in the new system, which is at `root`, to the boot partition of its slot.

    Raises:
        BootError: the system has no such files, the partition has no arguments for the slot yet, or there is no room.
    """
    files = _files(inside(root, source))
    if CONFIG not in files:
        raise BootError(
            f"cannot use {source} of the new system: it has no {CONFIG}, so the firmware would not boot from it",
            hint="build the image with its boot files there, or correct boot.firmware in the configuration",
        )
    # It belongs to the device: what it says is decided here, and may lie on this very partition.
    files.pop(AUTOBOOT, None)
    try:
        with mounted(partition) as point:
            theirs = files.get(CMDLINE)
            place_files({**files, CMDLINE: _cmdline(point / CMDLINE, theirs)}, point)
    except (ProgramError, OSError) as e:
        raise BootError(
            f"cannot put the boot files of the new system onto {partition}: {e}",
            hint=e.hint if isinstance(e, ProgramError) else "correct boot.partitions in the configuration",
        ) from e


def merged_cmdline(own: str, theirs: str) -> str:
    """Return the arguments of the new system, with those in place of the slot's that are there already.

    Raises:
        BootError: the slot's arguments are not there.
    """
    kept = [word for word in own.split() if word.startswith(OWN)]
    for start in OWN:
        if not any(word.startswith(start) for word in kept):
            raise BootError(
                f"cannot tell the new system which slot it is: {CMDLINE} of its boot partition does not say {start}",
                hint=f"write {CMDLINE} with root=... and bistable.slot=... there once; an update keeps them",
            )
    return " ".join([*(word for word in theirs.split() if not word.startswith(OWN)), *kept]) + "\n"


def _cmdline(path: Path, theirs: Path | None) -> bytes:
    own = _text(path)
    return merged_cmdline(own, own if theirs is None else _text(theirs)).encode("utf-8", "surrogateescape")


def _text(path: Path) -> str:
    try:
        return read_limited(path, _MOST_CMDLINE).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except (OSError, ClientError) as e:
        raise BootError(f"cannot read {path}: {e}") from e


def _files(directory: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted([*names, *(name for name in folders if Path(folder, name).is_symlink())]):
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file():
                raise BootError(f"cannot copy {path} of the new system: FAT has files and directories only")
            found[str(path.relative_to(directory))] = path
        if len(found) > MOST_FILES:
            raise BootError(f"cannot copy {directory} of the new system: it has more than {MOST_FILES} files")
    return found
