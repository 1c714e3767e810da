"""Read Zstandard strictly, block by block, so that memory is bounded whatever the stream says. FORMAT.md §7.

The structure (RFC 8878) is walked here; libzstd gets a few whole blocks at a time, each of which becomes at most
128 KiB.
"""

from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import LimitError, RejectedError
from bistable.artifact.limits import KIB, MIB, WINDOW_LOG
from bistable.artifact.streams.feed import Feed
from bistable.artifact.zstd import Decoder, DecoderFactory

MAGIC: Final = b"\x28\xb5\x2f\xfd"
SKIPPABLE_MAGICS: Final = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))

BLOCK_SIZE: Final = 128 * KIB
BLOCK_HEADER_SIZE: Final = 3
RLE_BLOCK: Final = 1
BATCH: Final = 4
"""Blocks of one call: encoders make them as small as 10 KiB, and each call costs as much as 10 KiB of content."""

PIECE: Final = 64 * KIB
CHECKSUM_SIZE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """The header of a frame as it stands in the stream, and what it says of the window (bytes) and a checksum."""

    raw: bytes
    window: int
    checksum: bool


class Unzstd:
    """The content of one or more frames; skippable frames may stand anywhere."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._decoders = DecoderFactory(window_log=WINDOW_LOG)
        self._decoder: Decoder | None = None
        self._header: FrameHeader | None = None
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or nothing at the sound end of the last frame.

        Raises:
            LimitError: the window is larger than a reader allows.
            RejectedError: damaged, cut off, in need of a dictionary, or followed by anything but another frame.
        """
        while not self._rest:
            if self._header is None and not self._next_frame():
                return b""
            content = self._next_blocks()
            if content and len(content) <= size:  # what nearly always happens: no copy
                return content
            self._rest = memoryview(content)
        data = self._rest[:size].tobytes()
        self._rest = self._rest[size:]
        return data

    def _next_frame(self) -> bool:
        """Go over skippable frames to the header of the next frame with content; say whether there is one."""
        feed = self._feed
        while magic := feed.peek(4):
            if magic == MAGIC:
                self._header = self._read_header()
                self._decoder = self._decoders.decoder()
                self._decode(self._header.raw, feed.offset)
                return True
            if len(magic) < 4:
                raise feed.truncated("a zstd frame header")
            if magic not in SKIPPABLE_MAGICS:
                raise feed.rejected("trailing", "something that is not zstd follows the zstd data", feed.offset)
            self._skip_frame()
        return False

    def _skip_frame(self) -> None:
        left = int.from_bytes(self._feed.take(8, "a zstd skippable frame")[4:], "little")
        while left:
            piece = self._feed.some(min(left, PIECE))
            if not piece:
                raise self._feed.truncated("a zstd skippable frame")
            left -= len(piece)

    def _read_header(self) -> FrameHeader:
        feed, what, start = self._feed, "a zstd frame header", self._feed.offset
        head = feed.take(5, what)
        descriptor = head[4]
        single_segment, checksum = bool(descriptor & 0x20), bool(descriptor & 0x04)
        size_of_size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
        size_of_dictionary = (0, 1, 2, 4)[descriptor & 3]
        rest = feed.take((not single_segment) + size_of_dictionary + size_of_size, what)
        fields = rest if single_segment else rest[1:]
        if any(fields[:size_of_dictionary]):
            raise feed.rejected("dictionary", "it needs a zstd dictionary, which artifacts do not have", start)
        size = int.from_bytes(fields[size_of_dictionary:], "little") + (256 if size_of_size == 2 else 0)
        window = size if single_segment else _window_size(rest[0])
        if window > 1 << WINDOW_LOG:
            raise self._too_large(window, start)
        return FrameHeader(raw=head + rest, window=window, checksum=checksum)

    def _next_blocks(self) -> bytes:
        """Return what the next blocks become, perhaps nothing; with the last block of a frame check the frame's end."""
        assert self._header is not None
        feed, start = self._feed, self._feed.offset
        length, last = self._whole_blocks(start)
        data = self._decode(feed.some(length), start)
        if last:
            if self._header.checksum:
                data += self._decode(feed.take(CHECKSUM_SIZE, "a zstd checksum"), start)
            assert self._decoder is not None
            if not self._decoder.eof:
                raise self._corrupt("a zstd frame does not end where it should", start)
            self._decoder = self._header = None
        return data

    def _whole_blocks(self, start: int) -> tuple[int, bool]:
        """Return the length of the next blocks, at least one, and whether they end the frame.

        How many does not depend on how much of them the source has given yet: the same stream is always refused at the
        same place.
        """
        feed, end, last = self._feed, 0, False
        for _ in range(BATCH):
            body = end + BLOCK_HEADER_SIZE
            ahead = feed.ahead(body)
            if len(ahead) < body:
                break
            length, is_last = self._block(ahead[end:body], start + end)
            if len(feed.ahead(end + length)) < end + length:
                break
            end, last = end + length, is_last
            if last:
                break
        if not end:
            raise feed.truncated("a zstd block")
        return end, last

    def _block(self, header: memoryview, start: int) -> tuple[int, bool]:
        """Return the length of a block with its header, and whether it is the last of the frame."""
        word = int.from_bytes(header, "little")
        last, kind, size = bool(word & 1), word >> 1 & 3, word >> 3
        if size > BLOCK_SIZE:
            raise self._corrupt("a zstd block is larger than 128 KiB", start)
        return BLOCK_HEADER_SIZE + (1 if kind == RLE_BLOCK else size), last

    def _decode(self, data: bytes | memoryview, start: int) -> bytes:
        assert self._decoder is not None
        try:
            return self._decoder.decompress(data)
        except (self._decoders.error, EOFError) as e:
            raise self._corrupt("the compressed data is damaged", start) from e

    def _corrupt(self, why: str, start: int) -> RejectedError:
        return self._feed.rejected("corrupt", f"{why} (at byte {start})", start)

    def _too_large(self, window: int, start: int) -> LimitError:
        return LimitError(
            f"cannot decompress {self._feed.member}: its zstd window is {window // MIB} MiB, "
            f"at most {(1 << WINDOW_LOG) // MIB} MiB are allowed",
            hint=f"build it with a window of at most {WINDOW_LOG} (zstd --long={WINDOW_LOG})",
            where=self._feed.where(start),
            rule="compression.window",
        )


def _window_size(descriptor: int) -> int:
    base: int = 1 << (10 + (descriptor >> 3))
    return base + base // 8 * (descriptor & 7)
