"""xz streams of one block each. FORMAT.md §7."""

import lzma
from typing import Final

from bistable.artifact.limits import MIB

DICTIONARIES: Final = (256 << 10, 1 * MIB, 2 * MIB, 4 * MIB, 4 * MIB, 8 * MIB, 8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB)
"""Bytes of history that presets 0 to 9 look back, and that a reader must hold."""


def block_size(preset: int) -> int:
    """Return how many bytes of content make one stream: three dictionaries, as `xz -T` does, at least 1 MiB."""
    return max(3 * DICTIONARIES[preset], 1 * MIB)


def xz_stream(block: bytes | bytearray, *, preset: int) -> bytes:
    """Return `block` as one whole xz stream; presets 0 to 9."""
    return lzma.compress(block, lzma.FORMAT_XZ, lzma.CHECK_CRC64, preset)
