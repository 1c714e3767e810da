"""Read gzip strictly: whole members and nothing else. FORMAT.md §7."""

import zlib
from typing import Final

from bistable.artifact.errors import RejectedError
from bistable.artifact.limits import KIB
from bistable.artifact.streams.deflate import RAW, Inflater, library, trailer
from bistable.artifact.streams.feed import Feed

MAGIC: Final = b"\x1f\x8b"
DEFLATE: Final = 8
HEADER_CRC, EXTRA, NAME, COMMENT, RESERVED = 0x02, 0x04, 0x08, 0x10, 0xE0
PIECE: Final = 64 * KIB
"""Input of one call: what a call leaves over is copied, so it is small beside what dense data becomes."""


class Gunzip:
    """The content of one or more gzip members, with header, CRC and length of each checked."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._library = library()
        self._inflater: Inflater | None = None
        self._start = 0
        self._crc = 0
        self._size = 0

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or nothing at the sound end of the last member.

        Raises:
            RejectedError: damaged, cut off, or followed by anything but another member.
        """
        while self._inflater is not None or self._next_member():
            data = self._inflate(size)
            if data:
                return data
        return b""

    def _next_member(self) -> bool:
        """Read the header of the next member; say whether there is one."""
        feed = self._feed
        self._start = feed.offset
        magic = feed.peek(2)
        if not magic:
            return False
        if magic != MAGIC:
            if MAGIC.startswith(magic):
                raise feed.truncated("a gzip header")
            raise feed.rejected("trailing", "something that is not gzip follows the gzip data", self._start)
        self._read_header()
        self._inflater = self._library.decompressobj(RAW)
        self._crc = self._size = 0
        return True

    def _read_header(self) -> None:
        what = "a gzip header"
        head = self._feed.take(10, what)
        flags = head[3]
        if head[2] != DEFLATE or flags & RESERVED:
            raise self._corrupt("its gzip header asks for an unknown method or flag")
        crc = zlib.crc32(head)
        if flags & EXTRA:
            length = self._feed.take(2, what)
            crc = zlib.crc32(self._feed.take(int.from_bytes(length, "little"), what), zlib.crc32(length, crc))
        for flag in (NAME, COMMENT):
            if flags & flag:
                crc = self._skip_text(crc)
        if flags & HEADER_CRC and self._feed.take(2, what) != (crc & 0xFFFF).to_bytes(2, "little"):
            raise self._corrupt("the checksum of its gzip header is wrong")

    def _skip_text(self, crc: int) -> int:
        """Take a text up to its zero byte, however long it is; go on with `crc` over it."""
        while True:
            piece = self._feed.some(PIECE)
            if not piece:
                raise self._feed.truncated("a gzip header")
            text, zero, _ = bytes(piece).partition(b"\0")
            crc = zlib.crc32(zero, zlib.crc32(text, crc))
            if zero:
                self._feed.give_back(len(piece) - len(text) - 1)
                return crc

    def _inflate(self, size: int) -> bytes:
        """Return up to `size` bytes; nothing means: call again, or the member ended."""
        assert self._inflater is not None
        piece = self._feed.some(PIECE)
        try:
            data = self._inflater.decompress(piece, size)
        except self._library.error as e:
            raise self._corrupt("the compressed data is damaged") from e
        over = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
        self._feed.give_back(len(over))
        self._crc = self._library.crc32(data, self._crc)
        self._size += len(data)
        if self._inflater.eof:
            self._end_member()
        elif not piece and not data:
            raise self._feed.truncated("the compressed data")
        return data

    def _end_member(self) -> None:
        self._inflater = None
        if self._feed.take(8, "a gzip trailer") != trailer(self._crc, self._size):
            raise self._corrupt("the content does not have the checksum and length that its gzip trailer says")

    def _corrupt(self, why: str) -> RejectedError:
        return self._feed.rejected("corrupt", f"{why} (gzip member at byte {self._start})", self._start)
