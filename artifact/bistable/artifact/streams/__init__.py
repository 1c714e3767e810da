"""Compression and decompression of artifact members as streams. FORMAT.md §7."""

from bistable.artifact.streams.codec import Codec
from bistable.artifact.streams.compress import Compressor, open_compressor
from bistable.artifact.streams.decompress import open_decompressor
from bistable.artifact.streams.source import Source
from bistable.artifact.streams.stored import stored, stored_size

__all__ = ["Codec", "Compressor", "Source", "open_compressor", "open_decompressor", "stored", "stored_size"]
