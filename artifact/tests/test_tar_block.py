"""One tar header block, to bytes and back. FORMAT.md §1.1."""

import io
import tarfile
from typing import Literal

import pytest
from answers import check_refusal
from forge import GNU, USTAR, V7, tar_header
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact.errors import RejectedError, RequestError, Where
from bistable.artifact.tar.block import decode_header, decode_number, encode_header

WHERE = Where(member="artifact", offset=0)
NAME = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100)


def refused(block: bytes) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        decode_header(block, WHERE)
    check_refusal(caught.value)
    return caught.value


@given(NAME, st.integers(0, 2**50))
def test_a_header_is_read_back_as_it_was_written(name: str, size: int) -> None:
    block = decode_header(encode_header(name, size), WHERE)
    assert (block.name, block.size, block.type_flag) == (name.encode(), size, b"0")


@given(NAME.filter(lambda name: not name.endswith("/")), st.integers(0, 2**50), st.integers(0, 8**11 - 1))
def test_the_standard_library_reads_the_same_header(name: str, size: int, mtime: int) -> None:
    info = tarfile.TarInfo.frombuf(encode_header(name, size, mode=0o644, mtime=mtime), "utf-8", "strict")
    assert (info.name, info.size, info.mode, info.mtime, info.isreg()) == (name, size, 0o644, mtime, True)
    assert (info.uid, info.gid, info.uname, info.gname) == (0, 0, "", "")


@given(NAME, st.integers(0, 8**11 - 1), st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT]))
def test_headers_of_the_standard_library_are_read(name: str, size: int, form: Literal[0, 1]) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.uname = size, "joe"
    block = decode_header(info.tobuf(form), WHERE)
    assert (block.name, block.size) == (name.encode(), size)


@given(st.binary(min_size=512, max_size=512))
def test_a_block_of_anything_is_a_header_or_is_refused(block: bytes) -> None:
    try:
        decode_header(block, WHERE)
    except RejectedError as error:
        check_refusal(error)


@given(st.integers(0, 147) | st.integers(156, 511), st.integers(1, 255))
def test_a_single_wrong_byte_outside_the_checksum_is_noticed(offset: int, change: int) -> None:
    block = bytearray(encode_header("version", 31))
    block[offset] ^= change
    assert refused(bytes(block)).rule == "tar.checksum"


def test_sizes_of_8_gib_and_more_are_written_in_base_256() -> None:
    assert encode_header("x", 2**33 - 1)[124:136] == b"77777777777\x00"
    assert encode_header("x", 2**33)[124:136] == b"\x80" + (2**33).to_bytes(11, "big")


def test_a_name_of_more_than_100_bytes_cannot_be_written() -> None:
    encode_header("x" * 100, 0)
    with pytest.raises(RequestError):
        encode_header("x" * 101, 0)


@pytest.mark.parametrize("magic", [USTAR, GNU, V7], ids=["ustar", "GNU", "v7"])
def test_all_dialects_are_read(magic: bytes) -> None:
    assert decode_header(tar_header("version", 31, magic=magic), WHERE).name == b"version"


def test_the_prefix_counts_in_ustar_only() -> None:
    assert decode_header(tar_header("b", prefix=b"a"), WHERE).name == b"a/b"
    assert decode_header(tar_header("b", prefix=b"a", magic=GNU), WHERE).name == b"b"


def test_a_name_may_fill_its_field() -> None:
    assert decode_header(tar_header("n" * 100), WHERE).name == b"n" * 100


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"00000000017\x00", 15),
        (b"        17 \x00", 15),
        (b"17\x00        \x00", 15),
        (b"000000000017", 15),
        (b"17          ", 15),
        (b"\x00" * 12, 0),
        (b" " * 12, 0),
        (b"\x80" + bytes(10) + b"\x0f", 15),
    ],
)
def test_numbers_are_read_in_every_form_that_writers_use(field: bytes, value: int) -> None:
    assert decode_number(field, "size", WHERE) == value


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        pytest.param(b"\xff" * 12, "tar.number", id="minus one"),
        pytest.param(b"\x81" + bytes(11), "tar.number", id="more than 11 bytes"),
        pytest.param(b"-0000000001\x00", "tar.number", id="minus sign"),
        pytest.param(b"0x00000000f\x00", "tar.number", id="hexadecimal"),
        pytest.param(b"00000000018\x00", "tar.number", id="not octal"),
        pytest.param(b"0000 000001\x00", "tar.number", id="blank inside"),
        pytest.param(b"0000_000001\x00", "tar.number", id="underscore inside"),
        pytest.param(b"1e10       \x00", "tar.number", id="exponent"),
        pytest.param("\uff11\uff12".encode().ljust(12, b"\x00"), "tar.number", id="digits of another script"),
        pytest.param(b"\x80" + (2**50 + 1).to_bytes(11, "big"), "tar.size", id="more than 1 PiB"),
        pytest.param(b"\x80" + b"\xff" * 11, "tar.size", id="as much as fits"),
    ],
)
def test_a_size_that_is_none_or_too_large_is_refused(field: bytes, rule: str) -> None:
    assert refused(tar_header("version", size_field=field)).rule == rule


@pytest.mark.parametrize("off_by", [-1, 1, 256])
def test_a_wrong_checksum_is_refused(off_by: int) -> None:
    assert refused(tar_header("version", off_by=off_by)).rule == "tar.checksum"


def test_our_archive_opens_in_the_standard_library() -> None:
    body = encode_header("a", 3) + b"abc".ljust(512, b"\x00") + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert archive.getnames() == ["a"]
