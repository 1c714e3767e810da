"""Compression and decompression of artifact members as streams. FORMAT.md §7."""
