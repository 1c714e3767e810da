"""Read a GUID partition table as strictly as firmware may: both headers and both tables have to be right and agree.

UEFI specification, section 5.3. Sectors are 512 bytes; numbers are little endian.
"""

import struct
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import RejectedError

SECTOR: Final = 512
MOST_ENTRIES: Final = 1024
_HEADER: Final = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY: Final = struct.Struct("<16s16sQQQ72s")

Read = Callable[[int, int], bytes]
"""Start and length in bytes -> that part of the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition; `start` and `size` are bytes, `number` counts from 1."""

    number: int
    name: str
    start: int
    size: int
    uuid: str


def read_gpt(read: Read, size: int) -> tuple[Partition, ...]:
    """Return the partitions of a disk of `size` bytes.

    Raises:
        RejectedError: a header or a table is damaged, or the two do not say the same.
    """
    last = size // SECTOR - 1
    first_copy = _copy(read, 1, last, "first")
    second_copy = _copy(read, last, 1, "second")
    if first_copy != second_copy:
        raise RejectedError("cannot use the partition table: its two copies do not say the same")
    return first_copy[1]


def _copy(read: Read, at: int, other: int, which: str) -> tuple[bytes, tuple[Partition, ...]]:
    """Return the identifier of the disk and the partitions, as one of the two copies has them."""
    raw = read(at * SECTOR, SECTOR)
    magic, _, length, crc, _, here, there, _, _, disk, table, count, entry, table_crc = _HEADER.unpack_from(raw)
    if magic != b"EFI PART" or not _HEADER.size <= length <= SECTOR:
        raise RejectedError(f"cannot use the partition table: its {which} header does not begin as one")
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:length]) != crc:
        raise RejectedError(f"cannot use the partition table: the CRC of its {which} header is wrong")
    if (here, there) != (at, other):
        raise RejectedError(f"cannot use the partition table: its {which} header belongs to another place")
    if count > MOST_ENTRIES or entry != _ENTRY.size:
        raise RejectedError(f"cannot use the partition table: {count} entries of {entry} bytes")
    entries = read(table * SECTOR, count * entry)
    if zlib.crc32(entries) != table_crc:
        raise RejectedError(f"cannot use the partition table: the CRC of its {which} list is wrong")
    return disk, tuple(_partitions(entries))


def _partitions(entries: bytes) -> list[Partition]:
    found = []
    for number, (kind, own, first, last, _, name) in enumerate(_ENTRY.iter_unpack(entries), 1):
        if kind != bytes(16):
            found.append(
                Partition(
                    number=number,
                    name=name.decode("utf-16-le", "replace").partition("\0")[0],
                    start=first * SECTOR,
                    size=(last - first + 1) * SECTOR,
                    uuid=str(uuid.UUID(bytes_le=own)),
                )
            )
    return found
