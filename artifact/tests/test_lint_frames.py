"""What decompressing takes is read off the first bytes."""

import bz2
import lzma
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact.limits import KIB, MIB
from bistable.artifact.lint.frames import PREFIX_SIZE, Needs, decoder_needs
from bistable.artifact.model import Compression
from bistable.artifact.streams import Codec, open_compressor, stored

CONTENT = bytes(range(256)) * 200
DICTIONARIES = (256 * KIB, MIB, 2 * MIB, 4 * MIB, 4 * MIB, 8 * MIB, 8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB)


def compressed(codec: Codec, content: bytes = CONTENT) -> bytes:
    parts: list[bytes] = []
    compressor = open_compressor(lambda data: parts.append(bytes(data)), codec)
    compressor.write(content)
    compressor.finish()
    return b"".join(parts)


@pytest.mark.parametrize(("preset", "size"), list(enumerate(DICTIONARIES)))
def test_the_dictionary_of_xz_is_found(preset: int, size: int) -> None:
    assert decoder_needs(Compression.XZ, lzma.compress(CONTENT, preset=preset)).window == size


@pytest.mark.parametrize(("level", "size"), [(1, 512 * KIB), (3, 2 * MIB), (19, 8 * MIB), (22, 128 * MIB)])
def test_the_window_of_zstd_is_found(level: int, size: int) -> None:
    assert decoder_needs(Compression.ZSTD, compressed(Codec(kind=Compression.ZSTD, level=level))).window == size


@pytest.mark.parametrize("long", [20, 24, 27])
def test_a_window_for_long_distances_is_found(long: int) -> None:
    data = compressed(Codec(kind=Compression.ZSTD, long=long))
    assert decoder_needs(Compression.ZSTD, data).window == 1 << long


def test_a_frame_of_a_single_segment_needs_its_content() -> None:
    assert decoder_needs(Compression.ZSTD, stored(Compression.ZSTD, b"x" * 1000)).window == 1000


@pytest.mark.parametrize(
    ("kind", "before"),
    [
        (Compression.ZSTD, stored(Compression.ZSTD, b"h" * 512)),
        (Compression.ZSTD, compressed(Codec(kind=Compression.ZSTD, level=1), b"a frame with a checksum")),
        (Compression.ZSTD, b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"),
        (Compression.XZ, stored(Compression.XZ, b"h" * 512)),
        (Compression.XZ, lzma.compress(CONTENT, preset=0) + bytes(8)),
        (Compression.XZ, lzma.compress(b"")),
        (Compression.XZ, lzma.compress(bytes(100_000), check=lzma.CHECK_SHA256, preset=0)),
    ],
)
def test_small_frames_before_the_large_one_are_gone_over(kind: Compression, before: bytes) -> None:
    levels = {Compression.ZSTD: 19, Compression.XZ: 8}
    whole = before + compressed(Codec(kind=kind, level=levels[kind]))
    assert decoder_needs(kind, whole).window == {Compression.ZSTD: 8 * MIB, Compression.XZ: 32 * MIB}[kind]


def test_the_filters_of_xz_are_named() -> None:
    filters: list[dict[str, Any]] = [
        {"id": lzma.FILTER_DELTA, "dist": 4},
        {"id": lzma.FILTER_ARM},
        {"id": lzma.FILTER_LZMA2, "preset": 1},
    ]
    assert decoder_needs(Compression.XZ, lzma.compress(CONTENT, filters=filters)) == Needs(
        window=MIB, filters=("delta", "arm")
    )


@pytest.mark.parametrize("kind", [Compression.XZ, Compression.ZSTD])
@pytest.mark.parametrize("cut", [0, 3, 6, 13, 20, 30])
def test_a_cut_ends_the_walk(kind: Compression, cut: int) -> None:
    whole = compressed(Codec(kind=kind))
    assert decoder_needs(kind, whole[:cut]).window in {0, decoder_needs(kind, whole).window}


MAKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.XZ: lambda data: lzma.compress(data, preset=0),
    Compression.ZSTD: lambda data: stored(Compression.ZSTD, data),
    Compression.GZIP: lambda data: data,
    Compression.NONE: bz2.compress,
}


@given(st.sampled_from(list(Compression)), st.binary(max_size=300), st.integers(0, 40), st.binary(max_size=30))
def test_no_bytes_whatever_confuse_the_walk(kind: Compression, content: bytes, at: int, patch: bytes) -> None:
    data = bytearray(MAKERS[kind](content))
    data[at : at + len(patch)] = patch
    needs = decoder_needs(kind, bytes(data[:PREFIX_SIZE]))
    assert needs.window >= 0
