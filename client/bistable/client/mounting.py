"""File systems that are mounted for a moment, at a place of their own, and unmounted whatever happens."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bistable.client.errors import ProgramError
from bistable.client.run import run

MOUNT_SECONDS: Final = 60.0
"""Mounting may mean to play a journal back, and unmounting to write what is dirty, on slow storage."""

HARMLESS: Final = "nosuid,nodev,noexec"
RUN: Final = Path("/run")


def unmount(point: Path) -> None:
    """Unmount what is mounted at `point`.

    Raises:
        ProgramError: it is in use.
    """
    run(["umount", point], timeout=MOUNT_SECONDS)


@contextmanager
def mounted_for_reading(device: Path) -> Iterator[Path]:
    """Give the directory in which the file system of a device, a UBI volume or an image file is, read-only.

    Raises:
        ProgramError: it cannot be mounted, or not be unmounted.
        OSError: there is no such device, or no place for a directory.
    """
    with _mounted(device, "ro") as point:
        yield point


@contextmanager
def mounted_for_writing(device: Path) -> Iterator[Path]:
    """Give the directory in which the file system of a device or an image file is.

    Raises:
        ProgramError: it cannot be mounted, or not be unmounted.
        OSError: there is no such device, or no place for a directory.
    """
    with _mounted(device, "rw") as point:
        yield point


@contextmanager
def _mounted(device: Path, access: str) -> Iterator[Path]:
    mode = device.stat().st_mode
    options = [f"{access},{HARMLESS}"]
    if stat.S_ISREG(mode):
        options.append("loop")
    kind = ["-t", "ubifs"] if stat.S_ISCHR(mode) else []
    point = Path(tempfile.mkdtemp(prefix="bistable-", dir=RUN if os.access(RUN, os.W_OK) else None))
    try:
        run(["mount", *kind, "-o", ",".join(options), device, point], timeout=MOUNT_SECONDS)
        try:
            yield point
        except BaseException:
            # What went wrong inside is what there is to say.
            with suppress(ProgramError):
                unmount(point)
            raise
        unmount(point)
    finally:
        # If it could not be unmounted, the directory is in use and stays.
        with suppress(OSError):
            point.rmdir()
