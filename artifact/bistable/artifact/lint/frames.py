"""What a decoder will need, read off the first bytes of a compressed stream, without decompressing. FORMAT.md §7.

The walk goes from frame to frame (zstd) or block to block (xz) as far as the bytes given reach: a writer may store the
first few hundred bytes in a small frame of their own and compress the rest with the window that matters.
"""

from dataclasses import dataclass
from typing import Final

from bistable.artifact.model import Compression

PREFIX_SIZE: Final = 64 * 1024
"""How many bytes from the start of a stream are worth looking at."""

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_RLE_BLOCK: Final = 1
_XZ_MAGIC: Final = b"\xfd7zXZ\x00"
_XZ_STREAM_HEADER: Final = 12
_XZ_LZMA2: Final = 0x21
_XZ_FILTERS: Final = {
    0x03: "delta",
    0x04: "x86",
    0x05: "powerpc",
    0x06: "ia64",
    0x07: "arm",
    0x08: "armthumb",
    0x09: "sparc",
    0x0A: "arm64",
    0x0B: "riscv",
}
_XZ_CHECK_SIZES: Final = (0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What it takes to decompress: `window` bytes of history, and xz filters other than LZMA2, by name."""

    window: int = 0
    filters: tuple[str, ...] = ()


def decoder_needs(kind: Compression, first_bytes: bytes) -> Needs:
    """Return what a stream of `kind` that starts with `first_bytes` needs; damaged bytes end the walk, silently."""
    match kind:
        case Compression.ZSTD:
            return _zstd(first_bytes)
        case Compression.XZ:
            return _xz(first_bytes)
        case Compression.GZIP:
            return Needs(window=32 * 1024)
        case Compression.NONE:
            return Needs()


class _Cut(Exception):  # noqa: N818 - not an error: the bytes given end here
    """The walk has come to the end of the bytes given."""


@dataclass(slots=True)
class _Walk:
    """A place in the bytes given."""

    data: bytes
    at: int = 0

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        if len(piece) < size:
            raise _Cut
        self.at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def skip(self, size: int) -> None:
        """Go on, perhaps beyond what is there: the next take will tell."""
        self.at += size

    def align(self) -> None:
        self.at += -self.at % 4


# --- zstd, RFC 8878


def _zstd(data: bytes) -> Needs:
    walk, window = _Walk(data), 0
    try:
        while magic := walk.take(4):
            if magic == _ZSTD_MAGIC:
                size, checksum = _zstd_frame_header(walk)
                window = max(window, size)
                _skip_zstd_blocks(walk)
                walk.skip(4 if checksum else 0)
            elif magic[0] & 0xF0 == 0x50 and magic[1:] == b"\x2a\x4d\x18":
                walk.skip(walk.number(4))
            else:
                break
    except _Cut:
        pass
    return Needs(window=window)


def _zstd_frame_header(walk: _Walk) -> tuple[int, bool]:
    """Return the window in bytes and whether a checksum stands at the frame's end."""
    descriptor = walk.number(1)
    single_segment = bool(descriptor & 0x20)
    window = 0
    if not single_segment:
        log = walk.number(1)
        base = 1 << (10 + (log >> 3))
        window = base + base // 8 * (log & 7)
    walk.skip((0, 1, 2, 4)[descriptor & 3])
    size_of_size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
    content = walk.number(size_of_size) + (256 if size_of_size == 2 else 0)
    return (content if single_segment else window), bool(descriptor & 0x04)


def _skip_zstd_blocks(walk: _Walk) -> None:
    last = False
    while not last:
        word = walk.number(3)
        last, kind, size = bool(word & 1), word >> 1 & 3, word >> 3
        walk.skip(1 if kind == _ZSTD_RLE_BLOCK else size)


# --- xz: the file format document of XZ Utils, version 1.1


def _xz(data: bytes) -> Needs:
    walk, window = _Walk(data), 0
    filters: dict[str, None] = {}
    try:
        while _next_xz_stream(walk):
            check = _XZ_CHECK_SIZES[walk.take(_XZ_STREAM_HEADER - len(_XZ_MAGIC))[1] & 0xF]
            while first := walk.number(1):
                dictionary, names = _xz_block_header(walk, first)
                window = max(window, dictionary)
                filters |= dict.fromkeys(names)
                _skip_lzma2(walk)
                walk.align()
                walk.skip(check)
            _skip_xz_index(walk)
    except (_Cut, IndexError):
        pass
    return Needs(window=window, filters=tuple(filters))


def _next_xz_stream(walk: _Walk) -> bool:
    """Go over stream padding to behind the next stream's magic; say whether there is one."""
    while walk.data[walk.at : walk.at + 4] == bytes(4):
        walk.skip(4)
    return walk.take(len(_XZ_MAGIC)) == _XZ_MAGIC


def _xz_block_header(walk: _Walk, first: int) -> tuple[int, list[str]]:
    """Return the dictionary in bytes and the names of the filters before LZMA2."""
    end = walk.at - 1 + (first + 1) * 4
    flags = walk.number(1)
    for present in (flags & 0x40, flags & 0x80):
        if present:
            _varint(walk)
    names, dictionary = [], 0
    for _ in range((flags & 3) + 1):
        filter_id, size = _varint(walk), _varint(walk)
        properties = walk.take(size)
        if filter_id == _XZ_LZMA2:
            dictionary = _dictionary_size(properties[0])
        else:
            names.append(_XZ_FILTERS.get(filter_id, f"filter {filter_id:#x}"))
    walk.at = end
    return dictionary, names


def _dictionary_size(bits: int) -> int:
    return (2 | bits & 1) << (bits // 2 + 11) if bits < 40 else (1 << 32) - 1


def _skip_lzma2(walk: _Walk) -> None:
    """Go from chunk to chunk: 0 ends; 1 and 2 are stored; from 0x80 on compressed, from 0xC0 with properties."""
    while control := walk.number(1):
        if control < 0x80:
            walk.skip(1 + int.from_bytes(walk.take(2), "big"))
        else:
            walk.take(2)
            size = 1 + int.from_bytes(walk.take(2), "big")
            walk.skip(size + (control >= 0xC0))


def _skip_xz_index(walk: _Walk) -> None:
    for _ in range(2 * _varint(walk)):
        _varint(walk)
    walk.align()
    walk.skip(4 + _XZ_STREAM_HEADER)


def _varint(walk: _Walk) -> int:
    value = shift = 0
    while True:
        byte = walk.number(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
        if shift > 56:
            raise _Cut
