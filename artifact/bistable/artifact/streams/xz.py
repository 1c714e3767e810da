"""xz streams of one block each. FORMAT.md §7."""

import lzma
from threading import Event
from typing import Final

from bistable.artifact.limits import MIB

DICTIONARIES: Final = (256 << 10, 1 * MIB, 2 * MIB, 4 * MIB, 4 * MIB, 8 * MIB, 8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB)
"""Bytes of history that presets 0 to 9 look back, and that a reader must hold."""

PIECE: Final = 1 * MIB
"""A block takes up to a minute; an interrupted program should not."""


def block_size(preset: int) -> int:
    """Return how many bytes of content make one stream: three dictionaries, as `xz -T` does, at least 1 MiB."""
    return max(3 * DICTIONARIES[preset], 1 * MIB)


def xz_stream(block: bytes | bytearray, stop: Event, *, preset: int) -> bytes:
    """Return `block` as one whole xz stream, or part of it if `stop` is set meanwhile; presets 0 to 9."""
    compressor = lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC64, preset)
    content = memoryview(block)
    parts = []
    for start in range(0, len(content), PIECE):
        if stop.is_set():
            break
        parts.append(compressor.compress(content[start : start + PIECE]))
    return b"".join((*parts, compressor.flush()))
