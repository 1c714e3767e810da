"""What is compressed comes back, and its bytes depend on the content and the level alone. FORMAT.md §7."""

import gzip
import io
import lzma
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import COMPRESSED, compressed, decompressed, tool_for

from bistable.artifact.limits import MIB
from bistable.artifact.model import Compression
from bistable.artifact.run import run
from bistable.artifact.streams import Codec, open_compressor, xz
from bistable.artifact.streams.compress import Encode, _Blocks

CODECS = ["gzip:1", "gzip", "gzip:3", "gzip:9", "xz:0", "xz:1", "zstd:1", "zstd", "zstd:6", "zstd:3,long=20"]


def mixture(size: int) -> bytes:
    """Text, noise and zeros, as an image has them."""
    noise = random.Random(7)
    parts = []
    while size > 0:
        word = noise.choice([b"/usr/share/doc/", noise.randbytes(40), bytes(300), b"copyright "])
        parts.append(word * noise.randint(1, 200))
        size -= len(parts[-1])
    return b"".join(parts)


MIXTURE = mixture(2 * MIB + 4000) + bytes(3 * MIB) + mixture(700_000)
"""More than one block of every kind, whole blocks of zeros among them."""


@pytest.mark.parametrize("text", CODECS)
@given(content=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=4))
@settings(max_examples=20)
def test_any_content_comes_back(text: str, content: bytes, cuts: list[int]) -> None:
    codec = Codec.parse(text)
    cuts = [cut for cut in cuts if cut <= len(content)]
    assert decompressed(compressed(content, codec, cuts), codec.kind) == content


@pytest.mark.parametrize("text", CODECS)
def test_many_blocks_come_back_in_order(text: str) -> None:
    codec = Codec.parse(text)
    assert decompressed(compressed(MIXTURE, codec), codec.kind) == MIXTURE


@pytest.mark.parametrize("text", CODECS)
def test_the_bytes_depend_neither_on_threads_nor_on_cuts(text: str) -> None:
    codec = Codec.parse(text)
    one, three = (Codec(kind=codec.kind, level=codec.level, long=codec.long, threads=n) for n in (1, 3))
    cuts = random.Random(3).sample(range(len(MIXTURE)), 40)
    assert compressed(MIXTURE, one) == compressed(MIXTURE, three, cuts)


@pytest.mark.parametrize("kind", COMPRESSED)
@given(content=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=6))
@settings(max_examples=25)
def test_the_bytes_of_little_content_do_not_depend_on_cuts(kind: Compression, content: bytes, cuts: list[int]) -> None:
    codec = Codec(kind=kind, level=1)
    cuts = [cut for cut in cuts if cut <= len(content)]
    assert compressed(content, codec) == compressed(content, codec, cuts)


def test_without_compression_the_content_goes_through_as_it_is() -> None:
    assert compressed(MIXTURE, Codec(kind=Compression.NONE), [5, 5, 70_000]) == MIXTURE


@pytest.mark.parametrize("kind", COMPRESSED)
def test_no_content_makes_a_sound_empty_stream(kind: Compression) -> None:
    data = compressed(b"", Codec(kind=kind))
    assert data
    assert decompressed(data, kind) == b""


@pytest.mark.parametrize("kind", COMPRESSED)
def test_writing_nothing_changes_nothing(kind: Compression) -> None:
    out: list[bytes] = []
    compressor = open_compressor(lambda data: out.append(bytes(data)), Codec(kind=kind))
    compressor.finish()
    assert b"".join(out) == compressed(b"", Codec(kind=kind), [0, 0])


@pytest.mark.parametrize("text", ["gzip", "gzip:9", "xz:1", "zstd", "zstd:9,long=24"])
def test_command_line_tools_take_the_output(text: str, tmp_path: Path) -> None:
    codec = Codec.parse(text)
    path = tmp_path / f"data{codec.kind.value}"
    path.write_bytes(compressed(MIXTURE, codec))
    assert run([tool_for(codec.kind), "-d", "-c", path], timeout=60).stdout == MIXTURE


def test_gzip_members_name_no_file_and_no_time() -> None:
    assert compressed(b"content", Codec(kind=Compression.GZIP))[:10] == bytes.fromhex("1f8b080000000000 00ff")


@pytest.mark.parametrize("missing", [["isal"], ["isal", "zlib_ng"]])
@pytest.mark.parametrize("level", [None, 9])
def test_gzip_needs_no_fast_library(missing: list[str], level: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    data = compressed(MIXTURE, Codec(kind=Compression.GZIP, level=level))
    assert gzip.decompress(data) == decompressed(data, Compression.GZIP) == MIXTURE


@pytest.mark.parametrize("level", [3, 9, 19])
def test_zstd_frames_carry_a_checksum_and_fit_into_8_mib(level: int) -> None:
    frame = zstandard.get_frame_parameters(compressed(b"content", Codec(kind=Compression.ZSTD, level=level)))
    assert frame.has_checksum
    assert frame.window_size <= 8 * MIB


@pytest.mark.parametrize("preset", range(7))
def test_the_table_of_xz_dictionaries_is_that_of_liblzma(preset: int) -> None:
    size_code = xz.xz_stream(b"content", Event(), preset=preset)[16]
    assert (2 | size_code & 1) << (size_code // 2 + 11) == xz.DICTIONARIES[preset]


def test_an_interrupted_xz_block_is_cut_short() -> None:
    stop = Event()
    stop.set()
    assert lzma.decompress(xz.xz_stream(bytes(4 * MIB), stop, preset=0)) == b""


@pytest.mark.parametrize("text", ["gzip", "xz:0", "zstd"])
def test_free_space_takes_next_to_nothing(text: str) -> None:
    assert len(compressed(bytes(40 * MIB), Codec.parse(text))) < 50_000


def blocks_of_four(out: list[bytes], encode: Encode, threads: int) -> _Blocks:
    return _Blocks(lambda data: out.append(bytes(data)), encode, 4, threads)


def test_blocks_of_zeros_are_encoded_once() -> None:
    seen: list[bytes] = []

    def encode(block: bytearray, _: Event) -> bytes:
        seen.append(bytes(block))
        return b""

    blocks = blocks_of_four([], encode, 1)
    blocks.write(bytes(40) + b"end!" + bytes(40) + bytes(3))
    blocks.finish()
    assert seen == [bytes(4), b"end!", bytes(3)]


def test_blocks_that_are_ready_early_wait_for_those_before_them() -> None:
    out: list[bytes] = []
    second_done = Event()

    def encode(block: bytearray, _: Event) -> bytes:
        if block == b"1111":
            assert second_done.wait(20)
        if block == b"2222":
            second_done.set()
        return bytes(block)

    blocks = blocks_of_four(out, encode, 2)
    blocks.write(b"1111222233")
    blocks.finish()
    assert out == [b"1111", b"2222", b"33"]


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_blocks_than_threads_and_one_are_held(threads: int) -> None:
    written: list[bytes] = []
    ahead = []

    def encode(block: bytearray, _: Event) -> bytes:
        ahead.append(int(block) - len(written))
        return bytes(block)

    blocks = blocks_of_four(written, encode, threads)
    for number in range(1, 200):
        blocks.write(b"%4d" % number)
    blocks.finish()
    assert len(written) == 199
    assert max(ahead) <= threads + 1


def test_a_failure_in_a_worker_reaches_the_caller() -> None:
    def encode(block: bytearray, _: Event) -> bytes:
        raise MemoryError("no room")

    blocks = blocks_of_four([], encode, 2)
    with pytest.raises(MemoryError, match="no room"):
        blocks.write(bytes(100))
    blocks.close()


@pytest.fixture
def workers() -> Iterator[list[threading.Thread]]:
    """Give the worker threads; they must have ended after the test."""
    found: list[threading.Thread] = []
    yield found
    found += [thread for thread in threading.enumerate() if thread.name.startswith("compress")]
    for thread in found:
        thread.join(20)
    assert not any(thread.is_alive() for thread in found)


@pytest.mark.parametrize("text", ["gzip", "xz:0", "zstd"])
def test_a_failing_output_stops_everything(text: str, workers: list[threading.Thread]) -> None:
    def write(data: bytes | memoryview) -> None:
        raise OSError("disk full")

    compressor = open_compressor(write, Codec.parse(text + ",threads=2" if ":" in text else text + ":threads=2"))
    with pytest.raises(OSError, match="disk full"):
        compressor.write(MIXTURE * 8)
    compressor.close()


def test_closing_tells_the_workers_to_stop(workers: list[threading.Thread]) -> None:
    told: list[bool] = []

    def encode(block: bytearray, stop: Event) -> bytes:
        told.append(stop.wait(20))
        return b""

    blocks = blocks_of_four([], encode, 1)
    blocks.write(b"1234")
    blocks.close()
    for thread in threading.enumerate():
        if thread.name.startswith("compress"):
            thread.join(20)
    assert told in ([True], [])


def test_closing_an_unfinished_stream_ends_its_threads(workers: list[threading.Thread]) -> None:
    out = io.BytesIO()
    compressor = open_compressor(out.write, Codec.parse("xz:0,threads=2"))
    compressor.write(MIXTURE)
    compressor.close()
