"""Where the content of an inode is: extents (ext4) and maps of single blocks (ext2, ext3), as runs in order."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import RejectedError
from bistable.artifact.image.ext.inode import Inode

ReadBlock = Callable[[int], bytes]
Damaged = Callable[[str], RejectedError]

_EXTENT_MAGIC: Final = 0xF30A
_DEPTH_LIMIT: Final = 5
"""Deeper trees cannot be needed: five levels hold more than 2**32 blocks."""

_WRITTEN_LIMIT: Final = 32768
"""An extent longer than this is one that was reserved, not written: it reads as zeros."""

_HEADER: Final = struct.Struct("<HHHHI")
_LEAF: Final = struct.Struct("<IHHI")
_INDEX: Final = struct.Struct("<IIHH")
_DIRECT: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`count` blocks of a file from its block `logical` on, at `physical` in the image; None: reserved, not written."""

    logical: int
    physical: int | None
    count: int

    @property
    def end(self) -> int:
        """Return the first block of the file behind the run."""
        return self.logical + self.count


class BlockMap:
    """Finds the runs of inodes in a file system of `blocks` blocks; `damaged` makes the error."""

    def __init__(self, *, block_size: int, blocks: int, read_block: ReadBlock, damaged: Damaged) -> None:
        self._pointers = block_size // 4
        self._blocks = blocks
        self._read_block = read_block
        self._damaged = damaged

    def runs(self, inode: Inode) -> Iterator[Run]:
        """Yield the runs of the content in order; what lies between them reads as zeros.

        Raises:
            RejectedError: they overlap, are not in order, or lie outside the image.
        """
        end = 0
        node = self._node_reader()
        for run in self._tree(inode.block, None, node) if inode.has_extents else self._mapped(inode, node):
            if run.logical < end:
                raise self._damaged(f"the blocks of inode {inode.number} are not in order")
            if run.physical is not None and not 0 < run.physical <= self._blocks - run.count:
                raise self._damaged(f"inode {inode.number} has blocks outside of it")
            end = run.end
            yield run

    def _node_reader(self) -> ReadBlock:
        """Return a reader of the inner blocks of one map, which gives up after more than the image can hold."""
        budget = self._blocks

        def read(number: int) -> bytes:
            nonlocal budget
            budget -= 1
            if not 0 < number < self._blocks or budget < 0:
                raise self._damaged("a block map leads out of it or in circles")
            return self._read_block(number)

        return read

    def _tree(self, node: bytes, expected_depth: int | None, read: ReadBlock) -> Iterator[Run]:
        magic, entries, _, depth, _ = _HEADER.unpack_from(node)
        fits = _HEADER.size + entries * _LEAF.size <= len(node)
        right_depth = depth <= _DEPTH_LIMIT if expected_depth is None else depth == expected_depth
        if magic != _EXTENT_MAGIC or not fits or not right_depth:
            raise self._damaged("an extent tree is broken")
        for at in range(_HEADER.size, _HEADER.size + entries * _LEAF.size, _LEAF.size):
            if depth:
                _, low, high, _ = _INDEX.unpack_from(node, at)
                yield from self._tree(read(low | high << 32), depth - 1, read)
                continue
            logical, count, high, low = _LEAF.unpack_from(node, at)
            if count <= _WRITTEN_LIMIT:
                yield Run(logical=logical, physical=low | high << 32, count=count)
            else:
                yield Run(logical=logical, physical=None, count=count - _WRITTEN_LIMIT)

    def _mapped(self, inode: Inode, read: ReadBlock) -> Iterator[Run]:
        """Join neighbours of a map of single blocks to runs."""
        start, count = (0, 0), 0
        for logical, physical in self._singles(inode, read):
            if count and (logical, physical) == (start[0] + count, start[1] + count):
                count += 1
                continue
            if count:
                yield Run(logical=start[0], physical=start[1], count=count)
            start, count = (logical, physical), 1
        if count:
            yield Run(logical=start[0], physical=start[1], count=count)

    def _singles(self, inode: Inode, read: ReadBlock) -> Iterator[tuple[int, int]]:
        pointers = struct.unpack("<15I", inode.block)
        yield from ((logical, physical) for logical, physical in enumerate(pointers[:_DIRECT]) if physical)
        first = _DIRECT
        for level, pointer in enumerate(pointers[_DIRECT:], start=1):
            if pointer:
                yield from self._indirect(read(pointer), level, first, read)
            first += self._pointers**level

    def _indirect(self, node: bytes, level: int, first: int, read: ReadBlock) -> Iterator[tuple[int, int]]:
        stride = self._pointers ** (level - 1)
        for index, pointer in enumerate(struct.unpack(f"<{self._pointers}I", node)):
            if pointer and level > 1:
                yield from self._indirect(read(pointer), level - 1, first + index * stride, read)
            elif pointer:
                yield first + index, pointer
