"""Compression and decompression of artifact members as streams. FORMAT.md §7."""

from typing import TYPE_CHECKING, Final

from bistable.artifact.lazy import names_from
from bistable.artifact.streams.decompress import open_decompressor
from bistable.artifact.streams.source import Source
from bistable.artifact.streams.stored import stored, stored_size

if TYPE_CHECKING:
    from bistable.artifact.streams.codec import Codec
    from bistable.artifact.streams.compress import Compressor, open_compressor

_HOMES: Final = {"codec": ("Codec",), "compress": ("Compressor", "open_compressor")}
"""Module -> the names it defines: who reads need not wait for what compresses."""

__getattr__ = names_from(__name__, _HOMES)

__all__ = ["Codec", "Compressor", "Source", "open_compressor", "open_decompressor", "stored", "stored_size"]
