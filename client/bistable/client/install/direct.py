"""I/O that goes past the page cache where it can: what is read is what the storage holds, and nothing piles up dirty.

O_DIRECT wants memory, offsets and lengths aligned; the unit here is the page, which no logical block exceeds.
"""

import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

UNIT: Final = 4096
UNSYNCED: Final = 8 * 1024 * 1024
"""Bytes that may be dirty in the page cache where it cannot be avoided: a second's work for slow storage."""


def aligned(size: int) -> memoryview:
    """Return zeroed memory that direct I/O takes."""
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def up(size: int) -> int:
    """Return `size` or the next multiple of the unit."""
    return -(-size // UNIT) * UNIT


class DirectFile:
    """An open device or file. The page cache is bypassed, or else emptied behind us.

    Raises:
        OSError: from every call.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self.direct = True
        try:
            self.descriptor = os.open(path, flags | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as e:
            if e.errno != errno.EINVAL:
                raise
            self.direct = False
            self.descriptor = os.open(path, flags | os.O_CLOEXEC)
        self._unsynced = 0

    def read(self, into: memoryview, offset: int) -> int:
        """Read up to `len(into)` bytes, a multiple of the unit, at an offset that is one; return how many there were.

        Fewer than asked for means that the end was met.
        """
        if not self.direct:
            self._forget(offset, len(into))
        done = 0
        while done < len(into):
            count = self._try(partial(os.preadv, self.descriptor, [into[done:]], offset + done))
            done += count
            # A part of a unit is there only at the end, and what follows it could not be asked for.
            if not count or count % UNIT:
                break
        if not self.direct:
            self._forget(offset, len(into))
        return done

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of `data` at an offset that is a multiple of the unit; only the last piece may end between two."""
        done = 0
        while done < len(data):
            done += self._try(partial(os.pwrite, self.descriptor, data[done:], offset + done))
        if not self.direct:
            # Not only forgets clean pages: it starts to write dirty ones, without waiting for them.
            self._forget(offset, len(data))
            self._unsynced += len(data)
            if self._unsynced >= UNSYNCED:
                os.fdatasync(self.descriptor)
                self._forget(0, offset + len(data))
                self._unsynced = 0

    def sync(self) -> None:
        """Return when everything written is on the storage."""
        os.fsync(self.descriptor)
        self._unsynced = 0

    def close(self) -> None:
        """Close the file; what was not synced may be lost."""
        os.close(self.descriptor)

    def _try(self, call: Callable[[], int]) -> int:
        """Call; and again without O_DIRECT if that is why it was refused.

        A piece that ends inside a block is: the last one of an image. And some file systems take the flag when they
        open a file, and refuse everything afterwards.
        """
        try:
            return call()
        except OSError as e:
            if e.errno != errno.EINVAL or not self.direct:
                raise
        self._stop_direct()
        return call()

    def _stop_direct(self) -> None:
        fcntl.fcntl(self.descriptor, fcntl.F_SETFL, fcntl.fcntl(self.descriptor, fcntl.F_GETFL) & ~os.O_DIRECT)
        self.direct = False

    def _forget(self, offset: int, length: int) -> None:
        # A character device has no pages, and says so.
        with suppress(OSError):
            os.posix_fadvise(self.descriptor, offset, length, os.POSIX_FADV_DONTNEED)
