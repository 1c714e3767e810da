"""The root file system that variants are made of: cut out of a disk image, or taken out of an artifact."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import RejectedError, RequestError
from bistable.artifact.extract import Layout, Present, extract_artifact
from bistable.artifact.image import ImageKind
from bistable.artifact.image.ext.superblock import OFFSET, SIZE, parse_superblock
from bistable.artifact.image.model import EXT_KINDS
from bistable.artifact.limits import MIB
from bistable.tools.board.model import Board
from bistable.tools.disk.geometry import SLOTS, place
from bistable.tools.disk.outputs import COMPRESSED, decompress
from bistable.tools.disk.partitions import Found, read_table
from bistable.tools.disk.sparse import copy_into, copy_part

_SLOT_NAME: Final = "slot.img"
_PAYLOAD: Final = "payload"
_SQUASHFS_HEAD: Final = 96
_SQUASHFS_USED: Final = slice(40, 48)
"""Where a squashfs superblock says how many bytes it all is."""

_BLOCK: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """The file that a run began with, as the report has it."""

    name: str
    size: int
    sha256: str


def source_file(path: Path) -> SourceFile:
    """Return what a file is known by.

    Raises:
        RequestError: it cannot be read.
    """
    whole = hashlib.sha256()
    with _opened(path) as file:
        while piece := file.read(MIB):
            whole.update(piece)
        return SourceFile(name=path.name, size=file.tell(), sha256=whole.hexdigest())


def copied_disk(image: Path, target: Path) -> Path:
    """Copy a disk image, which may be compressed (.zst), to boot from and to write to; return the copy.

    Raises:
        RequestError: it cannot be read.
        RejectedError: it is compressed, and damaged.
    """
    with target.open("wb", buffering=0) as file:
        if image.suffix == COMPRESSED:
            with _opened(image) as packed:
                decompress(packed, file, image.name)
        else:
            file.truncate(copy_into(image, file, 0))
    return target


def slot_of_disk(disk: Path, board: Board, folder: Path, *, name: str) -> Path:
    """Cut what is in slot a out of a disk image that is not compressed, into `folder`; errors call it `name`.

    Raises:
        RequestError: the board's storage is no disk, or the image is not one of its layout.
        RejectedError: there is no file system in the slot.
    """
    if board.layout is None:
        raise RequestError(
            f"cannot find slot a in {name}: the storage of {board.key} is not laid out as a disk",
            hint="give the root file system as an artifact: --artifact BASE.mender",
        )
    number = place(board.layout).partition(SLOTS[0]).number
    with _opened(disk) as file:
        found = next((one for one in read_table(file, name).partitions if one.number == number), None)
        if found is None:
            raise RequestError(
                f"cannot find slot a in {name}: there is no partition {number}",
                hint=f"is it an image for {board.key}? `bistable image inspect` shows what is in it",
            )
        target = folder / _SLOT_NAME
        with target.open("wb", buffering=0) as slot:
            copy_part(file, found.start, _used(file, found, name), slot)
    return target


def slot_of_artifact(artifact: Path, folder: Path) -> Path:
    """Take the image of a root file system out of an artifact, into `folder`.

    Raises:
        RequestError: it cannot be read, or there is not one file in it.
        RejectedError: it is damaged.
    """
    with _opened(artifact) as file:
        extracted = extract_artifact(file, Layout(files=folder / _PAYLOAD), present=Present.REPLACE)
    if len(extracted.files) != 1:
        raise RequestError(
            f"cannot use {artifact.name}: it holds {len(extracted.files)} files, not one root file system",
            hint="`bistable artifact show` tells what it holds",
        )
    return extracted.files[0].replace(folder / _SLOT_NAME)


def _used(disk: BinaryIO, partition: Found, name: str) -> int:
    """Return how many bytes of the partition the file system takes: an update need not write more."""
    if partition.kind in EXT_KINDS:
        block = parse_superblock(os.pread(disk.fileno(), SIZE, partition.start + OFFSET), name)
        return min(partition.size, block.blocks * block.block_size)
    if partition.kind is ImageKind.SQUASHFS:
        head = os.pread(disk.fileno(), _SQUASHFS_HEAD, partition.start)
        return min(partition.size, -(-int.from_bytes(head[_SQUASHFS_USED], "little") // _BLOCK) * _BLOCK)
    if partition.kind is ImageKind.UNKNOWN:
        raise RejectedError(f"cannot use slot a of {name}: there is no file system in it")
    return partition.size


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as e:
        raise RequestError(f"cannot read {path}: {e.strerror}") from e
