"""The content of a disk while a write log is played back: the base image, and in memory what was written over it.

Two pictures with the same fingerprint have the same content. A fingerprint is a sum over pages, so that a write costs
only the pages it touches; pages of zeros count nothing. It is no protection against somebody who wants a collision.
"""

import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final, Self

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.run import run

PAGE: Final = 4096
COPY_SECONDS: Final = 300.0

_ZEROS: Final = bytes(PAGE)
_DIGEST: Final = 16
_MASK: Final = (1 << 8 * _DIGEST) - 1


class Picture:
    """A disk of which `base` is the unchanged image; `regions` are parts of it, name -> (start, length) in bytes.

    Regions have their own fingerprints, which do not depend on where on the disk they are.

    Raises:
        RequestError: the base is not of whole pages, or a region is not, or lies outside.
        MachineError: the base cannot be read.
    """

    def __init__(self, base: Path, regions: Mapping[str, tuple[int, int]]) -> None:
        self.base = base
        try:
            with base.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as e:
            raise MachineError(f"cannot read the disk {base}: {e}") from e
        self.size = len(self._map)
        if self.size % PAGE:
            raise RequestError(f"cannot use the disk {base}: its size is not a multiple of {PAGE} bytes")
        for name, (start, length) in regions.items():
            if start % PAGE or length % PAGE or start < 0 or start + length > self.size:
                raise RequestError(f"cannot look at {name} of {base}: it is not made of whole pages of the disk")
        self._regions = {name: (start // PAGE, (start + length) // PAGE) for name, (start, length) in regions.items()}
        self._whole = {name: self._base_sum(first, end) for name, (first, end) in self._regions.items()}
        self._full = {name: self._full_pages(first, end) for name, (first, end) in self._regions.items()}
        self._pages: dict[int, bytes] = {}
        self._change = 0
        self._changes = dict.fromkeys(self._regions, 0)
        self._journal: dict[int, bytes | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the base image."""
        self._map.close()

    def fingerprint(self) -> int:
        """Return what tells this content from every other one that the same base had."""
        return self._change

    def region_fingerprint(self, name: str) -> int:
        """Return the fingerprint of a region; `fingerprint_of` a file with the same content is the same."""
        return (self._whole[name] + self._changes[name]) & _MASK

    def read(self, start: int, length: int) -> bytes:
        """Return a part of the disk."""
        self._check(start, length)
        found = bytearray(self._map[start : start + length])
        for index in range(start // PAGE, -(-(start + length) // PAGE)):
            if (page := self._pages.get(index)) is not None:
                low, high = max(start, index * PAGE), min(start + length, (index + 1) * PAGE)
                found[low - start : high - start] = page[low - index * PAGE : high - index * PAGE]
        return bytes(found)

    def save_region(self, name: str, path: Path) -> None:
        """Write a region to a sparse file.

        Raises:
            MachineError: it cannot be written.
        """
        first, end = self._regions[name]
        changed = {index for index in range(first, end) if index in self._pages}
        try:
            with path.open("wb") as file:
                file.truncate((end - first) * PAGE)
                for index in sorted(self._full[name] | changed):
                    file.seek((index - first) * PAGE)
                    file.write(self._page(index))
        except OSError as e:
            raise MachineError(f"cannot write {path}: {e.strerror or e}") from e

    def write(self, start: int, data: bytes) -> None:
        """Write over a part of the disk."""
        self._check(start, len(data))
        at = 0
        while at < len(data):
            index, offset = divmod(start + at, PAGE)
            part = data[at : at + PAGE - offset]
            old = self._page(index)
            self._put(index, old, part if len(part) == PAGE else old[:offset] + part + old[offset + len(part) :])
            at += len(part)

    def reset(self) -> None:
        """Go back to the base image."""
        self._pages.clear()
        self._change = 0
        self._changes = dict.fromkeys(self._regions, 0)

    @contextmanager
    def tried(self) -> Iterator[Self]:
        """Take back, at the end of the block, what was written in it; there can be only one such block at a time."""
        assert self._journal is None
        self._journal, change, changes = {}, self._change, dict(self._changes)
        try:
            yield self
        finally:
            for index, page in self._journal.items():
                if page is None:
                    del self._pages[index]
                else:
                    self._pages[index] = page
            self._journal, self._change, self._changes = None, change, changes

    def save(self, path: Path) -> None:
        """Write the whole disk to a sparse file.

        Raises:
            MachineError: it cannot be written.
        """
        run(["cp", "--reflink=auto", "--sparse=always", self.base, path], timeout=COPY_SECONDS)
        try:
            with path.open("r+b") as file:
                for index, page in sorted(self._pages.items()):
                    file.seek(index * PAGE)
                    file.write(page)
        except OSError as e:
            raise MachineError(f"cannot write {path}: {e.strerror or e}") from e

    def _page(self, index: int) -> bytes:
        page = self._pages.get(index)
        return self._map[index * PAGE : (index + 1) * PAGE] if page is None else page

    def _put(self, index: int, old: bytes, new: bytes) -> None:
        if old == new:
            return
        if self._journal is not None:
            self._journal.setdefault(index, self._pages.get(index))
        self._pages[index] = new
        gone, come = _digest(old), _digest(new)
        self._change = (self._change + _placed(come, index) - _placed(gone, index)) & _MASK
        for name, (first, end) in self._regions.items():
            if first <= index < end:
                moved = _placed(come, index - first) - _placed(gone, index - first)
                self._changes[name] = (self._changes[name] + moved) & _MASK

    def _base_sum(self, first: int, end: int) -> int:
        pages = (self._map[index * PAGE : (index + 1) * PAGE] for index in range(first, end))
        return sum(_placed(_digest(page), index) for index, page in enumerate(pages)) & _MASK

    def _full_pages(self, first: int, end: int) -> frozenset[int]:
        """Return which pages of the base are not zeros."""
        return frozenset(index for index in range(first, end) if self._map[index * PAGE : (index + 1) * PAGE] != _ZEROS)

    def _check(self, start: int, length: int) -> None:
        if start < 0 or start + length > self.size:
            raise RequestError(
                f"cannot reach bytes {start} to {start + length} of the disk {self.base}: it has {self.size}",
                hint="does the write log belong to this disk?",
            )


def fingerprint_of(path: Path) -> tuple[int, int]:
    """Return the fingerprint and the size of a file, as a region with the same content has it.

    Raises:
        MachineError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            total = sum(_placed(_digest(page), index) for index, page in enumerate(_pages_of(file))) & _MASK
            return total, os.fstat(file.fileno()).st_size
    except OSError as e:
        raise MachineError(f"cannot read {path}: {e.strerror or e}") from e


def _pages_of(file: BinaryIO) -> Iterator[bytes]:
    while page := file.read(PAGE):
        yield page.ljust(PAGE, b"\0")


def _digest(page: bytes) -> bytes | None:
    return None if page == _ZEROS else blake2b(page, digest_size=_DIGEST).digest()


def _placed(digest: bytes | None, index: int) -> int:
    if digest is None:
        return 0
    return int.from_bytes(blake2b(digest + index.to_bytes(8, "little"), digest_size=_DIGEST).digest(), "little")
