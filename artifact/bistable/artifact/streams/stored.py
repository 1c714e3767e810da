"""Encode without compressing: the length depends on the length of the content only. FORMAT.md §7, §12.

A writer that fills in a header after the payload reserves `stored_size` bytes for it; nothing here depends on the
version of a compression library.
"""

import zlib
from typing import Final

from bistable.artifact.limits import KIB, MIB
from bistable.artifact.model import Compression
from bistable.artifact.streams.deflate import HEADER, trailer

DEFLATE_BLOCK: Final = 0xFFFF
ZSTD_BLOCK: Final = 128 * KIB
ZSTD_FRAME: Final = 8 * MIB
"""Content of one frame: it is also the frame's window, which even small devices take up to 8 MiB."""

LZMA2_CHUNK: Final = 64 * KIB
XZ_FLAGS: Final = b"\x00\x01"
"""Stream flags: the check is CRC-32."""

XZ_BLOCK_HEADER: Final = bytes.fromhex("02 00 21 01 08 000000")
"""12 bytes with its CRC; one filter: LZMA2 (0x21) with one byte of properties: a dictionary of 64 KiB."""


def stored(kind: Compression, data: bytes) -> bytes:
    """Return `data` as a sound stream of `kind` that is not compressed."""
    match kind:
        case Compression.NONE:
            return data
        case Compression.GZIP:
            return _gzip(data)
        case Compression.XZ:
            return _xz(data)
        case Compression.ZSTD:
            return b"".join(_zstd_frame(piece) for piece in _pieces(data, ZSTD_FRAME))


def stored_size(kind: Compression, size: int) -> int:
    """Return the length of `stored(kind, data)` for any `data` of `size` bytes."""
    return len(stored(kind, bytes(size)))


def _pieces(data: bytes, size: int) -> list[bytes]:
    """Cut `data`; no data is one empty piece."""
    return [data[start : start + size] for start in range(0, len(data), size)] or [b""]


def _gzip(data: bytes) -> bytes:
    pieces = _pieces(data, DEFLATE_BLOCK)
    blocks = []
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces)
        size = len(piece)
        blocks += [bytes([last]), size.to_bytes(2, "little"), (size ^ 0xFFFF).to_bytes(2, "little"), piece]
    return b"".join((HEADER, *blocks, trailer(zlib.crc32(data), len(data))))


def _zstd_frame(data: bytes) -> bytes:
    """Single segment (0x20), content size in four bytes (0x80), then raw blocks, no checksum: the manifest has one."""
    pieces = _pieces(data, ZSTD_BLOCK)
    blocks = []
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces)
        blocks += [(len(piece) << 3 | last).to_bytes(3, "little"), piece]
    return b"".join((b"\x28\xb5\x2f\xfd\xa0", len(data).to_bytes(4, "little"), *blocks))


def _xz(data: bytes) -> bytes:
    """One stream of one block of uncompressed LZMA2 chunks: 1 starts with a new dictionary, 2 goes on, 0 ends."""
    chunks = []
    for number, piece in enumerate(_pieces(data, LZMA2_CHUNK) if data else []):
        chunks += [bytes([2 if number else 1]), (len(piece) - 1).to_bytes(2, "big"), piece]
    body = _with_crc(XZ_BLOCK_HEADER) + b"".join(chunks) + b"\x00"
    unpadded = len(body) + 4
    block = _pad(body) + _crc(data)
    index = _with_crc(_pad(b"\x00\x01" + _varint(unpadded) + _varint(len(data))))
    footer = (len(index) // 4 - 1).to_bytes(4, "little") + XZ_FLAGS
    head = b"\xfd7zXZ\x00" + XZ_FLAGS + _crc(XZ_FLAGS)
    return b"".join((head, block, index, _crc(footer), footer, b"YZ"))


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")


def _with_crc(data: bytes) -> bytes:
    return data + _crc(data)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _varint(value: int) -> bytes:
    """Return `value` in groups of seven bits, the lowest first."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
