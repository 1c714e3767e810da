"""Read what QEMU's `blklogwrites` driver has recorded: every write of a machine to its disk, in order.

The format is that of the kernel's dm-log-writes, version 1: a superblock in the first sector, then for each request a
sector that says what and where, followed by the data. All numbers are little endian.

| superblock          | bytes | | request            | bytes |
|---------------------|-------|-|--------------------|-------|
| magic               | 8     | | first sector       | 8     |
| version, 1          | 8     | | number of sectors  | 8     |
| number of requests  | 8     | | flags              | 8     |
| size of a sector    | 4     | | length of a mark   | 8     |
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Final, Self

from bistable.artifact.errors import LimitError, MachineError, RejectedError

MAGIC: Final = 0x6A736677736872
VERSION: Final = 1
SECTOR_SIZES: Final = (512, 1024, 2048, 4096)
MOST_REQUESTS: Final = 1_000_000
"""More than any update makes; each is an object in memory."""

_SUPERBLOCK: Final = struct.Struct("<QQQI")
_REQUEST: Final = struct.Struct("<QQQQ")


class Flag(IntFlag):
    """What is special about a request."""

    FLUSH = 1
    """Everything completed before is durable. QEMU logs this as a request without data."""
    FUA = 2
    """This write is itself durable when it completes."""
    DISCARD = 4
    """The content is not wanted any more; there is no data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; `start` and `length` are bytes of the disk, `number` counts from 1."""

    number: int
    start: int
    length: int
    flags: Flag
    data_at: int
    """Where in the log its data is."""

    @property
    def changes(self) -> bool:
        """Whether it changes what is on the disk."""
        return self.length > 0


class WriteLog:
    """A recorded log; a context manager that holds the file.

    Raises:
        RejectedError: it is damaged, or not such a log.
        MachineError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise RejectedError(f"cannot read the write log {path}: it is empty") from None
        except OSError as e:
            raise MachineError(f"cannot read the write log {path}: {e.strerror or e}") from e
        try:
            self.sector = self._superblock()
            self.requests = tuple(self._parse())
        except BaseException:
            self._map.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()

    def data(self, request: Request) -> bytes:
        """Return what the request wrote; zeros for what it discarded, as QEMU leaves it."""
        if Flag.DISCARD in request.flags:
            return bytes(request.length)
        return self._map[request.data_at : request.data_at + request.length]

    def _superblock(self) -> int:
        if len(self._map) < _SUPERBLOCK.size:
            raise self._damaged("it ends within its first sector")
        magic, version, count, sector = _SUPERBLOCK.unpack_from(self._map)
        if magic != MAGIC:
            raise self._damaged("it does not begin as one")
        if version != VERSION:
            raise self._damaged(f"its version is {version}, not {VERSION}")
        if sector not in SECTOR_SIZES:
            raise self._damaged(f"it claims sectors of {sector} bytes")
        if count > MOST_REQUESTS:
            raise LimitError(f"cannot read the write log {self.path}: {count} requests are more than {MOST_REQUESTS}")
        self._count: int = count
        return int(sector)

    def _parse(self) -> Iterator[Request]:
        at = self.sector
        for number in range(1, self._count + 1):
            if at + _REQUEST.size > len(self._map):
                raise self._damaged(f"it ends before request {number} of {self._count}")
            first, sectors, bits, marked = _REQUEST.unpack_from(self._map, at)
            if bits & ~sum(Flag) or marked:
                raise self._damaged(f"request {number} has flags {bits:#x}, which QEMU does not write")
            at += self.sector
            flags, length = Flag(bits), sectors * self.sector
            yield Request(number=number, start=first * self.sector, length=length, flags=flags, data_at=at)
            if Flag.DISCARD not in flags:
                at += length
                if at > len(self._map):
                    raise self._damaged(f"it ends within the data of request {number}")

    def _damaged(self, why: str) -> RejectedError:
        return RejectedError(
            f"cannot read the write log {self.path}: {why}",
            hint="QEMU finishes a log when it ends by itself; record again",
        )
