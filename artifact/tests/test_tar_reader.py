"""The tar reader that goes forward only. FORMAT.md §1.1."""

import io
import tarfile
from collections.abc import Callable

import pytest
from answers import Trickle, check_refusal
from forge import END, GNU, gnu_long_name, pax, pax_record, tar, tar_header, tar_member
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact.errors import LimitError, RejectedError
from bistable.artifact.limits import TAR_EXTENSION_SIZE
from bistable.artifact.model import Finding
from bistable.artifact.tar import Kind, Member, TarReader

Content = list[tuple[str, bytes]]
FILES = st.lists(
    st.tuples(
        st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=120),
        st.binary(max_size=1500),
    ),
    max_size=4,
).map(lambda files: [(name.rstrip("/") or "x", body) for name, body in files])

SHORT_FILES = st.lists(st.tuples(st.text("abc.-", min_size=1, max_size=9), st.binary(max_size=1500)), max_size=4)


def walk(data: bytes, found: list[Finding] | None = None) -> list[tuple[Member, bytes]]:
    reader = TarReader(io.BytesIO(data), archive="artifact", found=[] if found is None else found)
    members = []
    while (member := reader.next_member()) is not None:
        members.append((member, reader.read_all(member, limit=1 << 20)))
    assert reader.position == len(data)
    return members


def contents(data: bytes, *rules: str) -> Content:
    found: list[Finding] = []
    content = [(member.name, body) for member, body in walk(data, found)]
    assert [finding.rule for finding in found] == list(rules)
    return content


def refused(data: bytes, rule: str) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        walk(data)
    check_refusal(caught.value, rule)
    return caught.value


def by_standard_library(files: Content, form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, body in files:
            info = tarfile.TarInfo(name)
            info.size, info.uname, info.mtime = len(body), "jörg", 1.5 if form == tarfile.PAX_FORMAT else 1
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


@given(
    FILES,
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.lists(st.integers(1, 700), min_size=1, max_size=5),
)
def test_archives_of_the_standard_library_are_read_whatever_the_pieces(
    files: Content, form: int, pieces: list[int]
) -> None:
    reader = TarReader(Trickle(by_standard_library(files, form), pieces), archive="artifact", found=[])
    read = []
    while (member := reader.next_member()) is not None:
        read.append((member.name, reader.read_all(member, limit=1 << 20)))
    assert read == files


@given(SHORT_FILES, st.data())
def test_an_archive_cut_off_anywhere_before_its_end_is_refused_or_lacks_whole_members(
    files: Content, data: st.DataObject
) -> None:
    archive = tar(*files)
    whole = contents(archive)
    cut = data.draw(st.integers(0, len(archive) - len(END)))
    try:
        found: list[Finding] = []
        read = [(member.name, body) for member, body in walk(archive[:cut], found)]
    except RejectedError as error:
        check_refusal(error, "tar.truncated")
    else:
        assert cut % 512 == 0
        assert read == whole[: len(read)]
        assert [finding.rule for finding in found] == ["tar.no-end"]


def test_a_body_that_is_not_read_is_skipped() -> None:
    reader = TarReader(io.BytesIO(tar(("a", b"x" * 600), ("b", b"y"))), archive="artifact", found=[])
    assert [reader.next_member().name, reader.next_member().name, reader.next_member()] == ["a", "b", None]  # type: ignore[union-attr]


def test_a_member_knows_where_its_first_header_starts() -> None:
    members = walk(tar(("a", b"x"), pax(("path", "bb")), ("b", b"")))
    assert [(member.name, member.offset) for member, _ in members] == [("a", 0), ("bb", 1024)]


def test_no_more_is_read_than_the_member_has() -> None:
    source = io.BytesIO(tar(("a", b"x" * 600), ("b", b"y")))
    reader = TarReader(source, archive="artifact", found=[])
    reader.next_member()
    while reader.read(1 << 20):
        pass
    assert source.tell() == 512 + 600


def test_the_limit_of_a_body_is_checked_before_it_is_read() -> None:
    source = io.BytesIO(tar_header("a", 5000))
    reader = TarReader(source, archive="artifact", found=[])
    member = reader.next_member()
    assert member is not None
    with pytest.raises(LimitError) as caught:
        reader.read_all(member, limit=4999)
    check_refusal(caught.value, "limit.member")


# --- the end


@pytest.mark.parametrize(
    "end", [END, END + bytes(9 * 1024), END + bytes(7)], ids=["two blocks", "padded to 10 KiB", "odd count"]
)
def test_an_archive_may_end_with_more_zeros_than_needed(end: bytes) -> None:
    assert contents(tar(("a", b""), end=end)) == [("a", b"")]


@pytest.mark.parametrize("end", [b"", bytes(512)], ids=["no block", "one block"])
def test_a_missing_end_is_tolerated(end: bytes) -> None:
    assert contents(tar(("a", b""), end=end), "tar.no-end") == [("a", b"")]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(END + b"x", id="a byte"),
        pytest.param(END + bytes(5000) + b"\x01", id="a byte far behind"),
        pytest.param(END + tar(("b", b"")), id="another archive"),
        pytest.param(bytes(512) + tar_member("b") + END, id="a member after one zero block"),
    ],
)
def test_anything_but_zeros_after_the_end_is_refused(end: bytes) -> None:
    refused(tar(("a", b""), end=end), "tar.trailing")


def test_endless_zeros_after_the_end_are_refused() -> None:
    class Zeros:
        def read(self, size: int, /) -> bytes:
            return bytes(size)

    with pytest.raises(RejectedError) as caught:
        TarReader(Zeros(), archive="artifact", found=[]).next_member()
    check_refusal(caught.value, "tar.trailing")


# --- kinds


@pytest.mark.parametrize("flag", [b"0", b"\x00", b"7"])
def test_plain_files_have_three_type_flags(flag: bytes) -> None:
    assert walk(tar(tar_member("a", b"x", flag=flag)))[0][0].kind is Kind.FILE


def test_an_unknown_type_flag_is_read_as_a_file_and_noted() -> None:
    assert contents(tar(tar_member("a", b"x", flag=b"Z")), "tar.type-flag") == [("a", b"x")]


@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"4", b"6"], ids=["hard link", "symlink", "char", "block", "fifo"])
def test_links_devices_and_pipes_are_special_and_have_no_body(flag: bytes) -> None:
    (member, body), (after, _) = walk(tar(tar_header("a", 700, flag=flag, link=b"/etc/passwd"), ("b", b"")))
    assert (member.kind, body, after.name) == (Kind.SPECIAL, b"", "b")


@pytest.mark.parametrize("member", [tar_header("a", flag=b"5"), tar_header("a/", flag=b"5"), tar_header("a/")])
def test_a_directory_is_one_by_flag_or_by_name(member: bytes) -> None:
    assert walk(tar(member))[0][0].kind is Kind.DIRECTORY


# --- names


def test_a_name_may_come_from_a_pax_record_or_a_long_name_header() -> None:
    long = "d/" * 60 + "ä"
    assert contents(tar(pax(("path", long)), ("short", b"x"))) == [(long, b"x")]
    assert contents(tar(gnu_long_name(long), ("short", b"x"))) == [(long, b"x")]


def test_a_long_link_target_is_skipped() -> None:
    assert contents(tar(gnu_long_name("t" * 200, flag=b"K"), ("a", b"x"))) == [("a", b"x")]


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    refused(tar((b"\xff\xfe", b"")), "tar.name")
    refused(tar(tar_member("././@LongLink", b"\xff\x00", flag=b"L"), ("a", b"")), "tar.name")


def test_a_record_in_another_encoding_does_not_matter_elsewhere() -> None:
    assert contents(tar(pax(b"16 uname=J\xf6rg!!\n"), ("a", b"x"))) == [("a", b"x")]


@pytest.mark.parametrize("key", ["GNU.sparse.name", "GNU.sparse.size", "GNU.sparse.realsize"])
def test_half_a_sparse_member_is_refused_because_readers_differ_about_it(key: str) -> None:
    refused(tar(pax((key, "1")), ("a", b"x")), "tar.sparse-map")


# --- extension headers


def test_a_pax_size_wins_over_the_size_field() -> None:
    member = pax(("size", "3")) + tar_header("a", 0) + b"abc".ljust(512, b"\x00")
    assert contents(tar(member)) == [("a", b"abc")]


@pytest.mark.parametrize("size", ["-1", "", " 3", "3 ", "0x3", "1e3", "+3", "3_0", "٣", str(2**50 + 1), "9" * 30])
def test_a_pax_size_that_is_no_sane_number_is_refused(size: str) -> None:
    refused(tar(pax(("size", size)), ("a", b"abc")), "tar.extension")


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"path=a\n", id="no length"),
        pytest.param(b" path=a\n", id="blank for a length"),
        pytest.param(b"x path=a\n", id="length not a number"),
        pytest.param(b"-9 path=a\n", id="negative length"),
        pytest.param(b"0 path=a\n", id="length 0"),
        pytest.param(b"3 path=a\n", id="length too short"),
        pytest.param(b"99 path=a\n", id="length too long"),
        pytest.param(b"999999999999999999 path=a\n", id="length of an exbibyte"),
        pytest.param(b"9" * 30 + b" path=a\n", id="length of 30 digits"),
        pytest.param(b"9 path=ab", id="no line end"),
        pytest.param(b"9 pathaaa\n"[:9], id="no equals sign"),
        pytest.param(b"10 path=a\x00"[:10] + b"\n", id="zero byte"),
        pytest.param(pax_record("path", "a\x00b"), id="zero byte in a name"),
    ],
)
def test_a_malformed_pax_record_is_refused(record: bytes) -> None:
    refused(tar(pax(record), ("a", b"")), "tar.extension")


@given(st.binary(max_size=80))
def test_any_pax_body_is_understood_or_refused(body: bytes) -> None:
    try:
        walk(tar(tar_member("x", body, flag=b"x"), ("a", b"")))
    except RejectedError as error:
        check_refusal(error)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(pax(("path", "b")) * 2, id="PAX"),
        pytest.param(gnu_long_name("b") * 2, id="long name"),
        pytest.param(gnu_long_name("b", flag=b"K") * 2, id="long link"),
    ],
)
def test_two_extension_headers_of_a_kind_before_one_member_are_refused(headers: bytes) -> None:
    refused(tar(headers, ("a", b"")), "tar.extension")


def test_two_extension_headers_that_name_a_member_differently_are_refused() -> None:
    assert contents(tar(pax(("path", "b")), gnu_long_name("b"), ("a", b""))) == [("b", b"")]
    refused(tar(pax(("path", "b")), gnu_long_name("c"), ("a", b"")), "tar.extension")


@pytest.mark.parametrize("header", [pax(("path", "b")), pax(), gnu_long_name("b"), gnu_long_name("b", flag=b"K")])
@pytest.mark.parametrize("end", [b"", END])
def test_an_extension_header_without_a_member_is_refused(header: bytes, end: bytes) -> None:
    refused(tar(("a", b""), header, end=end), "tar.extension")


def test_a_global_header_is_refused() -> None:
    refused(tar(pax(("path", "b"), flag=b"g"), ("a", b"")), "tar.global")


def test_an_extension_header_over_64_kib_is_refused_unread() -> None:
    header = tar_header("x", TAR_EXTENSION_SIZE + 1, flag=b"x")
    refused(header, "tar.extension")
    refused(tar_header("x", 2**40, flag=b"L", size_field=b"\x80" + (2**40).to_bytes(11, "big")), "tar.extension")


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(lambda data: data[:100], id="in a header"),
        pytest.param(lambda data: data[:600], id="in a body"),
        pytest.param(lambda data: data[: 512 + 700 + 10], id="in the padding of a body"),
    ],
)
def test_a_cut_is_told_with_its_place(cut: Callable[[bytes], bytes]) -> None:
    data = cut(tar(("a", b"x" * 700)))
    error = refused(data, "tar.truncated")
    assert error.where is not None
    assert error.where.offset == len(data)


def test_gnu_magic_and_padding_rubbish_are_accepted() -> None:
    data = tar_header("a", 3, magic=GNU) + b"abc".ljust(512, b"#") + END
    assert contents(data) == [("a", b"abc")]
