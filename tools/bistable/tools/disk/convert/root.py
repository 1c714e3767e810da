"""The root file system taken out of an image, mended, and made as large as a slot."""

import os
import re
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError, RejectedError, RequestError
from bistable.artifact.image.ext.superblock import OFFSET, SIZE, parse_superblock
from bistable.artifact.limits import MIB
from bistable.artifact.run import ProgramError, run
from bistable.tools.disk.partitions import Found
from bistable.tools.disk.sparse import copy_part

_TIMEOUT: Final = 3600.0
_MENDED: Final = 1
"""Status of e2fsck if it found something and mended it."""

_NEW_FEATURES: Final = ("metadata_csum_seed", "orphan_file")
"""What mke2fs switches on since 1.47, and GRUB before 2.12 or older versions of e2fsck refuse."""

_FEATURES: Final = re.compile(r"^Filesystem features: +(.*)$", re.MULTILINE)
_SMALLEST: Final = re.compile(r"minimum size of the filesystem: ([0-9]+)")


def take_root(disk: BinaryIO, partition: Found, target: Path, size: int) -> None:
    """Copy a root file system to the file `target`, and make it `size` bytes large.

    Raises:
        RejectedError: it is damaged beyond what e2fsck mends by itself.
        RequestError: what is in it needs more.
        MachineError: a tool is missing or fails, or the disk is full.
    """
    try:
        with target.open("xb", buffering=0) as file:
            copy_part(disk, partition.start, partition.size, file)
    except OSError as e:
        raise MachineError(f"cannot take the root file system out of the image: {e.strerror}") from e
    superblock = parse_superblock(os.pread(disk.fileno(), SIZE, partition.start + OFFSET), "the root file system")
    # The time that it was last written: what is done to it now leaves no trace of when that was.
    times = {"E2FSPROGS_FAKE_TIME": str(superblock.write_time), "E2FSCK_TIME": str(superblock.write_time)}
    _mend(target, times)
    _leave_out_features(target, times)
    if size % superblock.block_size:
        raise RequestError(f"cannot make a file system of {size} bytes: its blocks have {superblock.block_size}")
    text = run(["resize2fs", "-P", target], timeout=_TIMEOUT, variables=times).text
    match = _SMALLEST.search(text)
    needed = int(match[1]) * superblock.block_size if match else 0
    if needed > size:
        raise RequestError(
            f"cannot put the root file system into a slot of {size} bytes: what is in it needs {needed}",
            hint=f"make [slots] size at least {-(-needed // MIB)} MiB, and more for updates that are larger",
        )
    if size > target.stat().st_size:
        os.truncate(target, size)
    run(["resize2fs", target, f"{size // 1024}K"], timeout=_TIMEOUT, variables=times)
    os.truncate(target, size)
    _mend(target, times)


def _leave_out_features(image: Path, times: dict[str, str]) -> None:
    """Switch off what not every boot loader reads."""
    match = _FEATURES.search(run(["dumpe2fs", "-h", image], timeout=_TIMEOUT).text)
    present = match[1].split() if match else []
    unwanted = [f"^{feature}" for feature in _NEW_FEATURES if feature in present]
    if unwanted:
        run(["tune2fs", "-O", ",".join(unwanted), image], timeout=_TIMEOUT, variables=times)
        _mend(image, times)


def _mend(image: Path, times: dict[str, str]) -> None:
    """Write back the journal, and mend what can be mended without asking."""
    try:
        run(["e2fsck", "-f", "-p", image], timeout=_TIMEOUT, variables={**times, "E2FSCK_CONFIG": os.devnull})
    except ProgramError as e:
        if e.exit_status is None:
            raise
        if e.exit_status != _MENDED:
            raise RejectedError(
                "cannot use the root file system in the image: e2fsck finds faults", hint=e.hint, rule="image.damaged"
            ) from e
