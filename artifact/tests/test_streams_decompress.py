"""Whatever real writers made is read, and nothing else is believed. FORMAT.md §7."""

import bz2
import gzip
import io
import lzma
import sys
import tracemalloc
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import COMPRESSED, MEMBER, Chopped, compressed, decompressed

from bistable.artifact.errors import LimitError, RejectedError
from bistable.artifact.limits import KIB, MIB
from bistable.artifact.model import Compression
from bistable.artifact.streams import Codec, open_decompressor, stored

NONE, GZIP, XZ, ZSTD = Compression.NONE, Compression.GZIP, Compression.XZ, Compression.ZSTD
TEXT: Final = b"a root file system, so to say: " * 5 + bytes(range(60))

SMALL: Final[Mapping[Compression, bytes]] = {
    GZIP: gzip.compress(TEXT, mtime=0),
    XZ: lzma.compress(TEXT, check=lzma.CHECK_CRC32),
    ZSTD: zstandard.ZstdCompressor(write_checksum=True).compress(TEXT),
}
"""The same text through other encoders than ours."""

SKIPPABLE: Final = b"\x5c\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"extra"


def refusal(data: bytes, kind: Compression, *, sizes: Sequence[int] = (1 << 30,)) -> RejectedError:
    with pytest.raises(RejectedError, match=r"^cannot decompress data/0000\.tar") as caught:
        decompressed(data, kind, sizes=sizes)
    assert caught.value.where is not None
    assert caught.value.where.member == MEMBER + kind.value
    return caught.value


def outcome(data: bytes, kind: Compression, sizes: list[int], size: int = 1 << 20) -> tuple[object, ...]:
    """Return what reading comes to: the content, or the rule, place and words of the refusal."""
    try:
        return (decompressed(data, kind, size=size, sizes=sizes),)
    except RejectedError as e:
        return (e.rule, str(e.where), e.what)


def gzip_with(flags: int, fields: bytes) -> bytes:
    """Return a gzip member with header fields; the header's own checksum, if its flag is set, is right."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\x00\x03" + fields
    checksum = zlib.crc32(header).to_bytes(4, "little")[:2] if flags & 2 else b""
    return header + checksum + SMALL[GZIP][10:]


def zstd_frames(*parts: bytes, **settings: object) -> bytes:
    return b"".join(zstandard.ZstdCompressor(**settings).compress(part) for part in parts)  # type: ignore[arg-type]


LDM_PARAMETERS: Final = zstandard.ZstdCompressionParameters.from_level(1, window_log=27, enable_ldm=1, threads=2)

ACCEPTED: Final[Mapping[str, tuple[Compression, bytes, bytes]]] = {
    "gzip of several members": (GZIP, SMALL[GZIP] + gzip.compress(b"", mtime=0) + SMALL[GZIP], TEXT + TEXT),
    "gzip with a name": (GZIP, gzip_with(0x08, b"rootfs.ext4\0"), TEXT),
    "gzip with an extra field": (GZIP, gzip_with(0x04, b"\x05\x00ab\x01\x00c"), TEXT),
    "gzip with an empty extra field": (GZIP, gzip_with(0x04, b"\x00\x00"), TEXT),
    "gzip with a comment": (GZIP, gzip_with(0x10, b"\xfcber\0"), TEXT),
    "gzip with a header checksum": (GZIP, gzip_with(0x02, b""), TEXT),
    "gzip with everything": (GZIP, gzip_with(0x1F, b"\x02\x00xxname\0comment\0"), TEXT),
    "gzip with a long name": (GZIP, gzip_with(0x0A, b"n" * 300_000 + b"\0"), TEXT),
    "gzip that is not compressed": (GZIP, gzip.compress(TEXT, 0), TEXT),
    "xz of several streams": (XZ, SMALL[XZ] + lzma.compress(b"") + SMALL[XZ], TEXT + TEXT),
    "xz with padding": (XZ, SMALL[XZ] + bytes(8) + SMALL[XZ] + bytes(400_000), TEXT + TEXT),
    "xz without a check": (XZ, lzma.compress(TEXT, check=lzma.CHECK_NONE), TEXT),
    "xz with CRC64": (XZ, lzma.compress(TEXT, check=lzma.CHECK_CRC64), TEXT),
    "xz with SHA-256": (XZ, lzma.compress(TEXT, check=lzma.CHECK_SHA256), TEXT),
    "xz with preset 9": (XZ, lzma.compress(TEXT, preset=9), TEXT),
    "zstd of several frames": (ZSTD, zstd_frames(TEXT, b"", TEXT), TEXT + TEXT),
    "zstd with skippable frames": (ZSTD, SKIPPABLE + SMALL[ZSTD] + SKIPPABLE + SMALL[ZSTD] + SKIPPABLE, TEXT + TEXT),
    "zstd with a large skippable frame": (
        ZSTD,
        b"\x50\x2a\x4d\x18" + (700_000).to_bytes(4, "little") + bytes(700_000) + SMALL[ZSTD],
        TEXT,
    ),
    "zstd without a checksum": (ZSTD, zstd_frames(TEXT, write_checksum=False), TEXT),
    "zstd without a content size": (ZSTD, zstd_frames(TEXT, write_content_size=False), TEXT),
    "zstd with threads and window 27": (ZSTD, zstd_frames(TEXT * 9000, compression_params=LDM_PARAMETERS), TEXT * 9000),
    "zstd at level -5": (ZSTD, zstd_frames(TEXT, level=-5), TEXT),
    "zstd at level 22": (ZSTD, zstd_frames(TEXT, level=22), TEXT),
    "nothing compressed": (NONE, TEXT, TEXT),
    "nothing at all": (NONE, b"", b""),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_every_form_that_the_real_readers_take_is_read(what: str) -> None:
    kind, data, content = ACCEPTED[what]
    assert decompressed(data, kind) == content
    assert decompressed(data, kind, sizes=[1, 2, 3, 100_000]) == content


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("sizes", [[1 << 30], [1]])
def test_a_stream_cut_off_anywhere_is_rejected(kind: Compression, sizes: list[int]) -> None:
    for length in range(len(SMALL[kind])):
        error = refusal(SMALL[kind][:length], kind, sizes=sizes)
        assert error.rule == "compression.truncated"
        assert error.where is not None
        assert error.where.offset == length


@pytest.mark.parametrize("kind", COMPRESSED)
def test_several_streams_cut_off_inside_the_last_are_rejected(kind: Compression) -> None:
    data = SMALL[kind] * 2
    for length in range(len(SMALL[kind]) + 1, len(data)):
        assert refusal(data[:length], kind).rule == "compression.truncated"


def test_a_skippable_frame_cut_off_anywhere_is_rejected() -> None:
    for length in range(1, len(SKIPPABLE)):
        assert refusal(SMALL[ZSTD] + SKIPPABLE[:length], ZSTD).rule == "compression.truncated"


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_flipped_bit_never_changes_the_content_unnoticed(kind: Compression) -> None:
    data = SMALL[kind]
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert outcome(bytes(damaged), kind, [1 << 30])[0] in (
            TEXT,
            "compression.corrupt",
            "compression.truncated",
            "compression.trailing",
            "compression.mismatch",
            "compression.window",
            "compression.dictionary",
        )


def damaged_streams() -> st.SearchStrategy[tuple[Compression, bytes]]:
    """Give real streams, often with bytes changed, inserted, removed or added."""

    @st.composite
    def make(draw: st.DrawFn) -> tuple[Compression, bytes]:
        kind = draw(st.sampled_from(COMPRESSED))
        content = draw(st.sampled_from([b"", TEXT, bytes(400_000), TEXT * 2000]))
        data = bytearray(compressed(content, Codec(kind=kind, level=1)) * draw(st.integers(1, 2)))
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(data)))
            data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
        return kind, bytes(data)

    return make()


SIZES: Final = st.lists(st.integers(1, 70), min_size=1, max_size=5)


@given(stream=damaged_streams(), sizes=SIZES, size=st.integers(1000, 200_000))
@settings(max_examples=150)
def test_how_the_source_chops_changes_nothing(stream: tuple[Compression, bytes], sizes: list[int], size: int) -> None:
    kind, data = stream
    assert outcome(data, kind, [*sizes, 50_000], size) == outcome(data, kind, [1 << 30])


@pytest.mark.parametrize("missing", ["zlib_ng"])
def test_the_standard_library_alone_reads_gzip_the_same_way(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = SMALL[GZIP] * 2
    damaged = [data[:n] + bytes([data[n] ^ 1 << n % 8]) + data[n + 1 :] for n in range(len(data))]
    before = [outcome(d, GZIP, [1 << 30]) for d in damaged]
    monkeypatch.setitem(sys.modules, missing, None)
    assert [outcome(d, GZIP, [1 << 30]) for d in damaged] == before


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("garbage", [b"garbage", b"\0", bytes(3), bytes(7), b"\n", bytes(4) + b"x", b"\xff" * 70_000])
def test_anything_after_the_end_is_rejected(kind: Compression, garbage: bytes) -> None:
    assert refusal(SMALL[kind] + garbage, kind).rule in ("compression.trailing", "compression.truncated")


@pytest.mark.parametrize("kind", [GZIP, ZSTD])
def test_zeros_after_the_end_are_rejected_where_they_are_no_padding(kind: Compression) -> None:
    error = refusal(SMALL[kind] + bytes(512), kind)
    assert error.rule == "compression.trailing"
    assert error.where is not None
    assert error.where.offset == len(SMALL[kind])


@pytest.mark.parametrize("first", COMPRESSED)
@pytest.mark.parametrize("second", COMPRESSED)
def test_streams_of_two_kinds_do_not_mix(first: Compression, second: Compression) -> None:
    if first is not second:
        assert refusal(SMALL[first] + SMALL[second], first).rule == "compression.trailing"


@pytest.mark.parametrize("named", Compression)
@pytest.mark.parametrize("found", Compression)
def test_content_of_another_kind_than_the_name_says_is_rejected(named: Compression, found: Compression) -> None:
    if named is not found:
        error = refusal(SMALL.get(found, TEXT), named)
        assert error.rule == "compression.mismatch"
        assert ("something else" if found is NONE else found.label) in error.what


@pytest.mark.parametrize(
    ("data", "name"),
    [(lzma.compress(TEXT, lzma.FORMAT_ALONE), "old form"), (bz2.compress(TEXT), "bzip2"), (b"\x04\x22\x4d\x18", "lz4")],
)
@pytest.mark.parametrize("kind", COMPRESSED)
def test_kinds_that_no_reader_takes_are_named(kind: Compression, data: bytes, name: str) -> None:
    assert name in refusal(data, kind).what


@pytest.mark.parametrize("kind", COMPRESSED)
def test_an_empty_member_of_a_compressed_kind_is_rejected(kind: Compression) -> None:
    error = refusal(b"", kind)
    assert (error.rule, error.what) == (
        "compression.truncated",
        f"cannot decompress {MEMBER}{kind.value}: it is empty, not {kind.label}",
    )


@pytest.mark.parametrize("flags", [0x20, 0x40, 0x80])
def test_unknown_gzip_flags_are_rejected(flags: int) -> None:
    assert refusal(gzip_with(flags, b""), GZIP).rule == "compression.corrupt"


def test_a_wrong_gzip_header_checksum_is_rejected() -> None:
    assert refusal(gzip_with(0x0A, b"name\0").replace(b"name", b"mane"), GZIP).rule == "compression.corrupt"


@pytest.mark.parametrize("at", [-8, -4])
def test_a_wrong_gzip_trailer_is_rejected(at: int) -> None:
    data = bytearray(SMALL[GZIP])
    data[at] ^= 1
    assert refusal(bytes(data), GZIP).rule == "compression.corrupt"


def zstd_frame(descriptor: int, fields: bytes) -> bytes:
    """Return a frame of one raw block, `hi`, with this header."""
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor]) + fields + b"\x11\x00\x00hi"


def test_a_frame_made_by_hand_is_read() -> None:
    assert decompressed(zstd_frame(0x20, b"\x02"), ZSTD) == b"hi"


@pytest.mark.parametrize(
    ("descriptor", "fields"),
    [
        (0x00, bytes([18 << 3])),  # window log 28
        (0x00, bytes([17 << 3 | 1])),  # one eighth above 27
        (0xE0, (1 << 28).to_bytes(8, "little")),  # single segment: the content is the window
    ],
)
def test_zstd_windows_above_the_limit_are_refused_as_such(descriptor: int, fields: bytes) -> None:
    error = refusal(zstd_frame(descriptor, fields), ZSTD)
    assert isinstance(error, LimitError)
    assert error.rule == "compression.window"


def test_zstd_frames_that_need_a_dictionary_are_rejected() -> None:
    assert refusal(zstd_frame(0x21, b"\x07\x02"), ZSTD).rule == "compression.dictionary"


@pytest.mark.parametrize(
    "data",
    [
        zstd_frame(0x28, b"\x02"),  # reserved bit
        zstd_frame(0x20, b"\x03"),  # content size
        zstd_frame(0x20, b"\x02").replace(b"\x11\x00\x00", b"\x17\x00\x00"),  # reserved kind of block
        zstd_frame(0x00, b"\x68").replace(b"\x11\x00\x00", b"\x01\x00\x80"),  # 1 MiB in one block
        zstd_frame(0x00, b"\x68").replace(b"\x11\x00\x00", b"\x03\x00\x80"),  # the same, one byte repeated
    ],
)
def test_malformed_zstd_structure_is_rejected(data: bytes) -> None:
    assert refusal(data, ZSTD).rule == "compression.corrupt"


MANY_BLOCKS: Final = b"\x28\xb5\x2f\xfd\x20\x14" + b"".join(
    (2 << 3 | (number == 9)).to_bytes(3, "little") + b"%02d" % number for number in range(10)
)
"""A frame of ten raw blocks of two bytes, which starts with six bytes of header."""


@pytest.mark.parametrize("sizes", [[1 << 30], [1], [7]])
def test_blocks_that_are_decoded_together_are_read_and_cut_off_as_single_ones(sizes: list[int]) -> None:
    assert decompressed(MANY_BLOCKS, ZSTD, sizes=sizes) == b"00010203040506070809"
    for length in range(1, len(MANY_BLOCKS)):
        error = refusal(MANY_BLOCKS[:length], ZSTD, sizes=sizes)
        assert (error.rule, error.where and error.where.offset) == ("compression.truncated", length)


@pytest.mark.parametrize("number", range(10))
def test_damage_in_any_of_many_blocks_is_found(number: int) -> None:
    data = bytearray(MANY_BLOCKS)
    data[6 + 5 * number] |= 3 << 1  # the reserved kind
    assert refusal(bytes(data), ZSTD).rule == "compression.corrupt"


def test_an_xz_dictionary_above_the_limit_is_refused_as_such() -> None:
    data = bytearray(stored(XZ, b"hi"))
    data[16] = 32  # 256 MiB
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    error = refusal(bytes(data), XZ)
    assert isinstance(error, LimitError)
    assert error.rule == "compression.window"


BOMBS: Final[Mapping[Compression, bytes]] = {
    GZIP: gzip.compress(bytes(60 * MIB), 6),
    XZ: lzma.compress(bytes(60 * MIB), preset=0),
    ZSTD: zstandard.ZstdCompressor().compress(bytes(60 * MIB)),
}


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("size", [5000, 1 << 40])
def test_a_bomb_goes_off_slowly(kind: Compression, size: int) -> None:
    stream = open_decompressor(io.BytesIO(BOMBS[kind]), kind, member=MEMBER)
    tracemalloc.start()
    try:
        for _ in range(100):
            assert 0 < len(stream.read(size)) <= min(size, 512 * KIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB


def test_what_was_refused_stays_refused() -> None:
    data = bytearray(SMALL[GZIP])
    data[-1] ^= 1
    stream = open_decompressor(io.BytesIO(data), GZIP, member=MEMBER)
    for _ in range(3):
        with pytest.raises(RejectedError):
            stream.read(1000)


@pytest.mark.parametrize("kind", Compression)
def test_the_end_stays_the_end(kind: Compression) -> None:
    stream = open_decompressor(Chopped(SMALL.get(kind, TEXT)), kind, member=MEMBER)
    assert stream.read(1000) == TEXT
    assert [stream.read(1000), stream.read(1)] == [b"", b""]


@pytest.mark.parametrize("size", [0, -1])
def test_asking_for_nothing_is_a_mistake(size: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        open_decompressor(io.BytesIO(b""), NONE, member=MEMBER).read(size)


def test_a_failing_source_is_not_taken_for_a_damaged_artifact() -> None:
    class Failing:
        def read(self, size: int, /) -> bytes:
            raise OSError("input/output error")

    with pytest.raises(OSError, match="input/output"):
        open_decompressor(Failing(), ZSTD, member=MEMBER).read(10)
