"""Read files, directories and links out of an ext2, ext3 or ext4 image, without mounting it and without root."""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, Final

from bistable.artifact.errors import RejectedError
from bistable.artifact.image.ext import attributes, superblock
from bistable.artifact.image.ext.blocks import BlockMap, Run
from bistable.artifact.image.ext.directory import parse_names
from bistable.artifact.image.ext.inode import Inode, parse_inode
from bistable.artifact.image.model import DEVICES, Attributes, Entry, Kind
from bistable.artifact.limits import KIB, MIB

CHUNK: Final = MIB
ZEROS: Final = bytes(CHUNK)
ROOT_INODE: Final = 2

_WINDOW: Final = 64 * KIB
"""Inodes are read in pieces of this size: neighbours are asked for next."""

_WINDOWS_KEPT: Final = 64
_DIRECTORIES_KEPT: Final = 16
_DIRECTORY_LIMIT: Final = 16 * MIB
_ATTRIBUTE_LIMIT: Final = 64 * KIB
"""Longest value that Linux takes."""


class ExtVolume:
    """A file system in `file`, which is called `name` in errors; nothing of it is believed without a check.

    It begins at `start`, in bytes: a partition of a disk image is read where it is.

    Raises:
        RejectedError: no such file system, damaged, or one whose journal was not written back.
        UnsupportedError: it uses a feature that this reader does not know.
    """

    def __init__(self, file: BinaryIO, name: str, *, start: int = 0) -> None:
        self._descriptor = file.fileno()
        self._start = start
        self._name = name
        self.superblock = superblock.parse_superblock(self._read_some(superblock.OFFSET, superblock.SIZE), name)
        if self.superblock.needs_recovery:
            raise RejectedError(
                f"cannot read the file system in {name}: its journal holds changes that were not written back",
                hint="run 'e2fsck -fp' on the image, or take it from a system that was shut down or frozen",
                rule="image.journal",
            )
        self._block_size = self.superblock.block_size
        self._map = BlockMap(
            block_size=self._block_size,
            blocks=self.superblock.blocks,
            read_block=self._read_block,
            damaged=self._damaged,
        )
        self._window = lru_cache(_WINDOWS_KEPT)(self._read_window)
        self._table = lru_cache(None)(self._read_table_start)
        self._names = lru_cache(_DIRECTORIES_KEPT)(self._read_names)

    def root(self) -> Entry:
        """Return the root directory."""
        return self._entry(ROOT_INODE, "/")

    def child(self, directory: Entry, name: str) -> Entry | None:
        """Return what is called `name` in `directory`, or None."""
        number = self._names(directory.inode).get(name)
        return None if number is None else self._entry(number, directory.beneath(name))

    def entries(self, directory: Entry) -> Iterator[Entry]:
        """Yield what is in `directory`, by name."""
        for name, number in sorted(self._names(directory.inode).items()):
            yield self._entry(number, directory.beneath(name))

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield the content of a file in pieces of 1 MiB (the last may be shorter).

        A piece that is a hole is `ZEROS`, the very object, so that two of them are known to be equal without a look.
        """
        return self._content(self._inode(entry.inode))

    def inode(self, entry: Entry) -> Inode:
        """Return all that the inode of `entry` says."""
        return self._inode(entry.inode)

    # --- entries

    def _entry(self, number: int, path: str) -> Entry:
        inode = self._inode(number)
        return Entry(
            path=path,
            kind=inode.kind,
            mode=inode.mode,
            uid=inode.uid,
            gid=inode.gid,
            size=inode.size,
            mtime=inode.mtime,
            links=inode.links,
            inode=number,
            target=self._target(inode) if inode.kind is Kind.SYMLINK else "",
            device=inode.device() if inode.kind in DEVICES else None,
            attributes=self._attributes(inode) if inode.attributes or inode.attribute_block else (),
        )

    def _target(self, inode: Inode) -> str:
        if inode.holds_its_target(self._block_size):
            raw = inode.block[: inode.size]
        elif inode.size < self._block_size:
            raw = b"".join(self._content(inode))
        else:
            raise self._damaged(f"the symbolic link in inode {inode.number} is too long")
        return raw.decode("utf-8", "surrogateescape")

    def _attributes(self, inode: Inode) -> Attributes:
        try:
            found = dict(attributes.parse_in_inode(inode.attributes, self._value))
            if inode.attribute_block:
                block = self._read_block(self._inside(inode.attribute_block))
                found |= attributes.parse_block(block, self._value)
        except ValueError as e:
            raise self._damaged(f"inode {inode.number}: {e}") from e
        return tuple(sorted(found.items()))

    def _value(self, number: int, size: int) -> bytes:
        inode = self._inode(number)
        if inode.size != size or size > _ATTRIBUTE_LIMIT:
            raise self._damaged(f"the attribute in inode {number} has a wrong size")
        return b"".join(self._content(inode))

    def _read_names(self, number: int) -> dict[str, int]:
        inode = self._inode(number)
        if inode.kind is not Kind.DIRECTORY or inode.size > _DIRECTORY_LIMIT or inode.size % self._block_size:
            raise self._damaged(f"inode {number} is no directory of a sane size")
        names: dict[str, int] = {}
        try:
            for chunk in self._content(inode):
                for at in range(0, len(chunk), self._block_size):
                    names.update(parse_names(chunk[at : at + self._block_size]))
        except ValueError as e:
            raise self._damaged(f"the directory in inode {number}: {e}") from e
        return names

    # --- inodes

    def _inode(self, number: int) -> Inode:
        if not 1 <= number <= self.superblock.inodes:
            raise self._damaged(f"there can be no inode {number}")
        group, index = divmod(number - 1, self.superblock.inodes_per_group)
        size = self.superblock.inode_size
        page, at = divmod(self._table(group) + index * size, _WINDOW)
        raw = self._window(page)[at : at + size]
        inode = parse_inode(number, raw) if len(raw) == size else None
        if inode is None:
            raise self._damaged(f"inode {number} is of no known kind")
        return inode

    def _read_table_start(self, group: int) -> int:
        """Return where, in bytes, the inodes of `group` begin."""
        size = self.superblock.descriptor_size
        at = (self.superblock.first_data_block + 1) * self._block_size + group * size
        descriptor = self._read(at, size)
        block = int.from_bytes(descriptor[8:12], "little")
        if size >= 64:
            block |= int.from_bytes(descriptor[40:44], "little") << 32
        return self._inside(block) * self._block_size

    # --- content

    def _content(self, inode: Inode) -> Iterator[bytes]:
        runs = self._map.runs(inode)
        run = next(runs, None)
        for start in range(0, inode.size, CHUNK):
            stop = min(start + CHUNK, inode.size)
            pieces: list[tuple[int, bytes]] = []
            while run is not None and run.logical * self._block_size < stop:
                pieces.append(self._piece(run, start, stop))
                if run.end * self._block_size > stop:
                    break
                run = next(runs, None)
            yield _joined(pieces, stop - start)

    def _piece(self, run: Run, start: int, stop: int) -> tuple[int, bytes]:
        """Return what `run` has between the bytes `start` and `stop` of its file, and its place behind start."""
        if run.physical is None:
            return 0, b""
        begin = max(run.logical * self._block_size, start)
        end = min(run.end * self._block_size, stop)
        shift = (run.physical - run.logical) * self._block_size
        return begin - start, self._read(begin + shift, max(0, end - begin))

    # --- bytes

    def _inside(self, block: int) -> int:
        if not 0 < block < self.superblock.blocks:
            raise self._damaged(f"block {block} is outside of it")
        return block

    def _read_block(self, number: int) -> bytes:
        return self._read(number * self._block_size, self._block_size)

    def _read_window(self, page: int) -> bytes:
        return self._read_some(page * _WINDOW, _WINDOW)

    def _read(self, at: int, size: int) -> bytes:
        data = self._read_some(at, size)
        if len(data) != size:
            raise self._damaged("it is cut off")
        return data

    def _read_some(self, at: int, size: int) -> bytes:
        """Read `size` bytes, or fewer at the end of the image."""
        return os.pread(self._descriptor, size, self._start + at)

    def _damaged(self, why: str) -> RejectedError:
        return superblock.damaged(self._name, why)


def _joined(pieces: list[tuple[int, bytes]], size: int) -> bytes:
    """Put pieces in their places, with zeros between."""
    if not pieces:
        return ZEROS if size == CHUNK else bytes(size)
    if len(pieces) == 1 and len(pieces[0][1]) == size:
        return pieces[0][1]
    whole = bytearray(size)
    for at, data in pieces:
        whole[at : at + len(data)] = data
    return bytes(whole)
