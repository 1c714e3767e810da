"""The block map beside a disk image: which blocks have to be written, and their checksums, as bmaptool reads it.

Blocks that the image file happens to have as holes are not left out for that: a file system counts on zeros that it
wrote, and a card that is used again has its old content there. An old journal that fits the new one would be played
back. What is left out is what no one reads: blocks that a file system calls free, and the room between partitions.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from bistable.artifact.image import PREFIX_SIZE, identify
from bistable.artifact.image.debugfs import open_path
from bistable.artifact.image.model import EXT_KINDS
from bistable.artifact.limits import MIB
from bistable.artifact.run import run
from bistable.tools.disk.geometry import GPT_HEAD, GPT_TAIL, Geometry, Partition, gaps
from bistable.tools.disk.sparse import CHUNK, PIECE, Progress, ignore

BLOCK: Final = 4096
_TIMEOUT: Final = 600.0
_UNUSED_HEAD: Final = MIB
"""So much of an empty partition is cleared: nothing that was there before is found again."""

_FREE: Final = re.compile(r"^  Free blocks: (.*)$", re.MULTILINE)
"""Of a group of blocks, which is indented; without that it is a number of the whole file system."""
_NO_CHECKSUM: Final = "0" * 64

Range = tuple[int, int]
"""Start and end in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """How much of a partition is used if it holds no file system that tells: bytes from its start."""

    partition: Partition
    size: int | None
    """None: all of it."""


def block_map(disk: BinaryIO, geometry: Geometry, used: Iterable[Used], *, on_progress: Progress = ignore) -> bytes:
    """Return the block map of the open disk image.

    Raises:
        MachineError: dumpe2fs is missing or fails.
    """
    ranges = [*_around(disk, geometry)]
    for item in used:
        ranges += _needed(disk, item)
    blocks = _joined((start // BLOCK, -(-end // BLOCK)) for start, end in ranges)
    return _document(disk, geometry.size, blocks, on_progress)


def mapped_bytes(document: bytes) -> int:
    """Return how many bytes a block map of ours maps."""
    match = re.search(rb"<MappedBlocksCount> ([0-9]+) ", document)
    assert match is not None
    return int(match[1]) * BLOCK


def _around(disk: BinaryIO, geometry: Geometry) -> Iterator[Range]:
    """Yield what lies outside of the partitions: tables, and files of a boot loader."""
    yield 0, GPT_HEAD
    yield geometry.size - GPT_TAIL, geometry.size
    for start, end in gaps(geometry):
        for at in range(start, end, PIECE):
            piece = os.pread(disk.fileno(), min(PIECE, end - at), at)
            if any(piece):
                yield at, at + len(piece)


def _needed(disk: BinaryIO, used: Used) -> Iterator[Range]:
    start = used.partition.start
    kind = identify(os.pread(disk.fileno(), PREFIX_SIZE, start))
    if kind in EXT_KINDS:
        yield from _allocated(disk, used.partition)
        return
    size = used.partition.size if used.size is None else used.size
    yield start, start + max(size, min(_UNUSED_HEAD, used.partition.size))


def _allocated(disk: BinaryIO, partition: Partition) -> Iterator[Range]:
    """Yield the blocks of an ext4 file system that are not free."""
    text = run(["dumpe2fs", f"{open_path(disk)}?offset={partition.start}"], timeout=_TIMEOUT).text
    size = _number(text, "Block size")
    end = partition.start + _number(text, "Block count") * size
    at = partition.start
    free = [piece for line in _FREE.findall(text) for piece in line.split(", ") if piece]
    for piece in free:
        first, _, last = piece.partition("-")
        # Whole blocks of the map only: what it shares with something in use is written.
        hole_start = -(-(partition.start + int(first) * size) // BLOCK) * BLOCK
        hole_end = (partition.start + (int(last or first) + 1) * size) // BLOCK * BLOCK
        if hole_end <= hole_start:
            continue
        if hole_start > at:
            yield at, hole_start
        at = hole_end
    if end > at:
        yield at, end


def _number(text: str, name: str) -> int:
    match = re.search(rf"^{name}:\s*([0-9]+)$", text, re.MULTILINE)
    assert match is not None
    return int(match[1])


def _joined(blocks: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges (first block, block behind the last) in order, without overlaps."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(blocks):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return found


def _document(disk: BinaryIO, size: int, blocks: list[tuple[int, int]], on_progress: Progress) -> bytes:
    total = -(-size // BLOCK)
    lines = [
        '<?xml version="1.0" ?>',
        '<bmap version="2.0">',
        f"    <ImageSize> {size} </ImageSize>",
        f"    <BlockSize> {BLOCK} </BlockSize>",
        f"    <BlocksCount> {total} </BlocksCount>",
        f"    <MappedBlocksCount> {sum(end - start for start, end in blocks)} </MappedBlocksCount>",
        "    <ChecksumType> sha256 </ChecksumType>",
        f"    <BmapFileChecksum> {_NO_CHECKSUM} </BmapFileChecksum>",
        "    <BlockMap>",
    ]
    for start, end in blocks:
        digest = _digest(disk, start * BLOCK, min(end * BLOCK, size), on_progress)
        numbers = str(start) if end - start == 1 else f"{start}-{end - 1}"
        lines.append(f'        <Range chksum="{digest}"> {numbers} </Range>')
    lines += ["    </BlockMap>", "</bmap>", ""]
    document = "\n".join(lines).encode()
    # The map's own checksum is made while zeros stand in its place.
    return document.replace(_NO_CHECKSUM.encode(), hashlib.sha256(document).hexdigest().encode(), 1)


def _digest(disk: BinaryIO, start: int, end: int, on_progress: Progress) -> str:
    digest = hashlib.sha256()
    while start < end:
        chunk = os.pread(disk.fileno(), min(CHUNK, end - start), start)
        assert chunk
        digest.update(chunk)
        on_progress(len(chunk))
        start += len(chunk)
    return digest.hexdigest()
