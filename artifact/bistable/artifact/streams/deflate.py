"""gzip members through the fastest library at hand. FORMAT.md §7."""

import zlib
from typing import Any, Final, Protocol

from bistable.artifact.limits import MIB

BLOCK_SIZE: Final = 1 * MIB
RAW: Final = -15
"""Window bits that mean: deflate alone, the header and trailer of gzip are read and written here."""

ISAL_LEVELS: Final = 2
"""Its level 3 makes other bytes on almost every generation of processors."""

HEADER: Final = bytes.fromhex("1f8b 08 00 00000000 00 ff")
"""No name, no time (a build's output must not depend on when), no operating system."""


class Inflater(Protocol):
    """What `decompressobj` of zlib returns, and of libraries with the same face."""

    @property
    def eof(self) -> bool:
        """Whether the end of the deflate stream was met."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What followed the end."""
        ...

    @property
    def unconsumed_tail(self) -> bytes:
        """What was not looked at because `max_length` was reached."""
        ...

    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes:
        """Return up to `max_length` bytes of content."""
        ...


def gzip_member(block: bytes | bytearray, *, level: int) -> bytes:
    """Return `block` as one whole gzip member; levels 1 to 9."""
    return b"".join((HEADER, _deflate(block, level), trailer(library().crc32(block), len(block))))


def trailer(crc: int, size: int) -> bytes:
    """Return the end of a gzip member: CRC-32 and length of the content, modulo 2^32."""
    return crc.to_bytes(4, "little") + (size & 0xFFFF_FFFF).to_bytes(4, "little")


def _deflate(block: bytes | bytearray, level: int) -> bytes:
    """Levels 1 and 2 are ISA-L's, three times as fast as anything else, but with other bytes on other processors.

    On x86-64 with SSE 4.2 they are always the same. From level 3 on, zlib-ng makes the same bytes everywhere.
    """
    if level <= ISAL_LEVELS:
        try:
            from isal import igzip_lib
        except ImportError:
            pass
        else:
            made: bytes = igzip_lib.compress(block, level, igzip_lib.COMP_DEFLATE, igzip_lib.MEM_LEVEL_SMALL)
            return made
    slower: bytes = library().compress(block, level, RAW)
    return slower


def library() -> Any:
    """Return zlib-ng where it is installed, else zlib: the same face and format, but other bytes and slower."""
    try:
        from zlib_ng import zlib_ng
    except ImportError:
        return zlib
    return zlib_ng
