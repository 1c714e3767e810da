"""The file system in a partition of a disk image, opened where it is."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import RejectedError
from bistable.artifact.image import open_image
from bistable.artifact.image.ext.superblock import OFFSET, SIZE, parse_superblock
from bistable.artifact.image.ext.volume import ExtVolume
from bistable.artifact.image.model import EXT_KINDS
from bistable.artifact.image.volume import Volume
from bistable.artifact.run import run
from bistable.artifact.scratch import scratch_file
from bistable.tools.disk.partitions import Found
from bistable.tools.disk.sparse import copy_part

_TIMEOUT: Final = 1800.0


@contextmanager
def open_partition(disk: BinaryIO, partition: Found, name: str) -> Iterator[Volume]:
    """Open the file system in a partition; if the kernel would write back a journal first, that is done in a copy.

    Raises:
        RejectedError: it is damaged.
        UnsupportedError: it is of a kind that cannot be read.
        MachineError: a tool is missing or fails.
    """
    if partition.kind in EXT_KINDS:
        block = parse_superblock(os.pread(disk.fileno(), SIZE, partition.start + OFFSET), name)
        if block.blocks * block.block_size > partition.size:
            raise RejectedError(
                f"cannot read the file system in {name}: it is larger than its partition", rule="image.damaged"
            )
        if not block.needs_recovery:
            yield ExtVolume(disk, name, start=partition.start)
            return
    with scratch_file(name) as scratch:
        copy_part(disk, partition.start, partition.size, scratch.file)
        if partition.kind in EXT_KINDS:
            _write_back(scratch.path)
        with open_image(scratch.path) as volume:
            yield volume


def _write_back(image: Path) -> None:
    with tempfile.TemporaryDirectory() as nowhere:
        run(["e2fsck", "-y", "-E", "journal_only", image], timeout=_TIMEOUT, cwd=Path(nowhere))
