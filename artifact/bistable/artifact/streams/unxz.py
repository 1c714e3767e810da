"""Read xz strictly: whole streams, padding between and after them, and nothing else. FORMAT.md §7."""

import lzma
from typing import Final

from bistable.artifact.errors import LimitError, RejectedError
from bistable.artifact.limits import KIB, MIB, XZ_MEMORY
from bistable.artifact.streams.feed import Feed

MAGIC: Final = b"\xfd7zXZ\x00"
ALIGNMENT: Final = 4
PIECE: Final = 64 * KIB
OVER_LIMIT: Final = "Memory usage limit exceeded"
"""The words of Python's lzma module: there is no class of its own for this."""


class Unxz:
    """The content of one or more xz streams, with every check that they carry."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._decoder: lzma.LZMADecompressor | None = None
        self._start = 0

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or nothing at the sound end of the last stream.

        Raises:
            LimitError: decoding needs more memory than a reader allows.
            RejectedError: damaged, cut off, or followed by anything but padding or another stream.
        """
        while self._decoder is not None or self._next_stream():
            data = self._decode(size)
            if data:
                return data
        return b""

    def _next_stream(self) -> bool:
        """Go to the next stream; say whether there is one."""
        feed = self._feed
        self._start = feed.offset
        while (padding := feed.peek(ALIGNMENT)) == bytes(ALIGNMENT):
            feed.take(ALIGNMENT, "xz padding")
        if not padding:
            return False
        if padding != MAGIC[:ALIGNMENT]:
            if MAGIC.startswith(padding) or not padding.strip(b"\0"):
                raise feed.truncated("an xz header or xz padding")
            raise feed.rejected("trailing", "something that is not xz follows the xz data", feed.offset)
        self._start = feed.offset
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        return True

    def _decode(self, size: int) -> bytes:
        """Return up to `size` bytes; nothing means: call again, or the stream ended."""
        assert self._decoder is not None
        hungry = self._decoder.needs_input
        piece = self._feed.some(PIECE) if hungry else memoryview(b"")
        try:
            data = self._decoder.decompress(piece, size)
        except lzma.LZMAError as e:
            raise self._refused(e) from e
        if self._decoder.eof:
            self._feed.give_back(len(self._decoder.unused_data))
            self._decoder = None
        elif hungry and not piece and not data:
            raise self._feed.truncated("an xz stream")
        return data

    def _refused(self, error: lzma.LZMAError) -> RejectedError:
        if str(error) != OVER_LIMIT:
            return self._feed.rejected(
                "corrupt", f"the compressed data is damaged (xz stream at byte {self._start}: {error})", self._start
            )
        return LimitError(
            f"cannot decompress {self._feed.member}: its xz dictionary needs more than {XZ_MEMORY // MIB} MiB",
            hint="build it with a smaller dictionary (xz preset 9 needs 64 MiB)",
            where=self._feed.where(self._start),
            rule="compression.window",
        )
