"""A stored stream is sound, and as long as the length of its content says. FORMAT.md §7, §12."""

import gzip
import io
import lzma
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from streaming import COMPRESSED, decompressed, tool_for

from bistable.artifact.model import Compression
from bistable.artifact.run import run
from bistable.artifact.streams import stored, stored_size


def unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()


OTHERS: Final[Mapping[Compression, Callable[[bytes], bytes]]] = {
    Compression.NONE: bytes,
    Compression.GZIP: gzip.decompress,
    Compression.XZ: lzma.decompress,
    Compression.ZSTD: unzstd,
}

EDGES: Final = (0, 1, 127, 128, 16383, 16384, 65534, 65535, 65536, 65537, 131071, 131072, 131073, 196608)
"""Where the fields and blocks of the three forms grow."""


@pytest.mark.parametrize("kind", Compression)
@given(content=st.binary(max_size=300))
def test_stored_content_comes_back_through_another_library(kind: Compression, content: bytes) -> None:
    assert OTHERS[kind](stored(kind, content)) == content


@pytest.mark.parametrize("kind", Compression)
@pytest.mark.parametrize("size", EDGES)
def test_stored_content_of_every_length_comes_back(kind: Compression, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    data = stored(kind, content[:size])
    assert OTHERS[kind](data) == decompressed(data, kind) == content[:size]


@pytest.mark.parametrize("kind", Compression)
@given(content=st.binary(max_size=300))
def test_the_length_depends_on_the_length_alone(kind: Compression, content: bytes) -> None:
    assert len(stored(kind, content)) == stored_size(kind, len(content))


@pytest.mark.parametrize("kind", COMPRESSED)
@given(contents=st.lists(st.binary(max_size=30), min_size=1, max_size=4))
def test_stored_streams_may_follow_each_other(kind: Compression, contents: list[bytes]) -> None:
    assert decompressed(b"".join(stored(kind, c) for c in contents), kind) == b"".join(contents)


def test_a_stored_zstd_frame_needs_no_more_window_than_a_small_device_has() -> None:
    data = stored(Compression.ZSTD, bytes(9 << 20))
    assert zstandard.get_frame_parameters(data).window_size == 8 << 20
    assert sha256(unzstd(data)).digest() == sha256(bytes(9 << 20)).digest()


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (Compression.GZIP, ["1f8b08000000000000ff", "010200fdff6869", "ac2a93d802000000"]),
        (Compression.ZSTD, ["28b52ffd", "a002000000", "1100006869"]),
        (
            Compression.XZ,
            [
                "fd377a585a0000016922de36",
                "0200210108000000d80f2313",
                "0100016869000000ac2a93d8",
                "00011602d06110d2",
                "9042990d010000000001595a",
            ],
        ),
    ],
)
def test_the_bytes_never_change(kind: Compression, parts: list[str]) -> None:
    assert stored(kind, b"hi").hex() == "".join(parts)


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("size", [0, 3, 70000])
def test_command_line_tools_take_stored_streams(kind: Compression, size: int, tmp_path: Path) -> None:
    path = tmp_path / f"stored{kind.value}"
    path.write_bytes(stored(kind, bytes(size)))
    run([tool_for(kind), "-t", path], timeout=20)
