"""Members of an artifact stand in their order under their names, to the last byte, or it is refused. FORMAT.md §1."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from answers import accepted, check_refusal, refused, tolerated, with_key
from forge import END, GNU, KINDS, V7, Forge, Member, compress, module, pax, tar, tar_header, tar_member

from bistable.artifact import Compression, RejectedError, read_artifact

Members = list[Member]


# --- the outer structure (§1)


@pytest.mark.parametrize("data_kind", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_header_and_data_may_be_compressed_differently(kind: str, data_kind: str) -> None:
    artifact = tolerated(Forge(kind=kind, data_kind=data_kind).build())
    assert (artifact.head.header_compression, artifact.data_compression) == (Compression(kind), Compression(data_kind))


@pytest.mark.parametrize("magic", [GNU, V7], ids=["GNU", "v7"])
def test_other_tar_dialects_are_accepted(magic: bytes) -> None:
    tolerated(tar(*[tar_member(name, body, magic=magic) for name, body in Forge().members()]))


def test_extension_headers_with_times_and_owners_are_accepted() -> None:
    extension = pax(("mtime", "1700000000.25"), ("uid", "3000000"), ("uname", "jörg"))
    tolerated(tar(*[extension + tar_member(name, body) for name, body in Forge().members()]))


def swap(first: int, second: int) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        members[first], members[second] = members[second], members[first]
        return members

    return change


def rename(place: int, name: str) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        members[place] = (name, members[place][1])
        return members

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(swap(0, 1), id="manifest first"),
        pytest.param(swap(1, 2), id="signature before the manifest"),
        pytest.param(swap(1, 3), id="header before the manifest"),
        pytest.param(swap(2, 3), id="signature behind the header"),
        pytest.param(swap(3, 4), id="data before the header"),
        pytest.param(lambda ms: [ms[0], *ms], id="version twice"),
        pytest.param(lambda ms: [ms[0], ms[1], *ms[1:]], id="manifest twice"),
        pytest.param(lambda ms: [*ms[:3], *ms[2:]], id="signature twice"),
        pytest.param(lambda ms: [*ms[:4], *ms[3:]], id="header twice"),
        pytest.param(lambda ms: [*ms, ms[4]], id="data twice"),
        pytest.param(lambda ms: [*ms, ("data/0001.tar.gz", ms[4][1])], id="second payload"),
        pytest.param(lambda ms: [*ms, ("foo", b"")], id="unknown member behind"),
        pytest.param(lambda ms: [*ms[:2], ("foo", b""), *ms[2:]], id="unknown member between"),
        pytest.param(lambda ms: [("foo", b""), *ms], id="unknown member before"),
        pytest.param(lambda ms: [*ms[:4], ("data/", b""), ms[4]], id="directory data/"),
        pytest.param(lambda ms: [(f"./{name}", body) for name, body in ms], id="names with a dot"),
        pytest.param(lambda ms: [(f"/{name}", body) for name, body in ms], id="absolute names"),
        pytest.param(lambda ms: [(name.upper(), body) for name, body in ms], id="names in another case"),
        pytest.param(rename(0, "version-foo"), id="version with a suffix"),
        pytest.param(rename(0, "version/"), id="version as a directory"),
        pytest.param(rename(3, "header.tar.foo"), id="header of an unknown kind"),
        pytest.param(rename(3, "header.tar.gz.gz"), id="header with two suffixes"),
        pytest.param(rename(3, "header.tar.GZ"), id="header with an upper-case suffix"),
        pytest.param(rename(4, "data/0000.tar.bz2"), id="data of an unknown kind"),
        pytest.param(rename(4, "data/0.tar.gz"), id="data number 0"),
        pytest.param(rename(4, "data/00000.tar.gz"), id="data number 00000"),
        pytest.param(rename(4, "data/-0000.tar.gz"), id="data number -0000"),
        pytest.param(rename(4, "data/0001.tar.gz"), id="data number 1"),
        pytest.param(rename(4, "data/0000"), id="data without a suffix"),
        pytest.param(rename(4, "data/../data/0000.tar.gz"), id="data by a detour"),
        pytest.param(rename(4, "data//0000.tar.gz"), id="data with two slashes"),
    ],
)
def test_another_order_or_another_name_is_refused(change: Callable[[Members], Members]) -> None:
    refused(tar(*change(Forge(key="ec256").members())), ("structure.order", "structure.missing"))


@pytest.mark.parametrize("left_out", range(4))
def test_a_missing_member_is_noticed(left_out: int) -> None:
    members = Forge().members()
    del members[left_out]
    rule = ("structure.order", "structure.missing", "payload.missing")
    refused(tar(*members), rule)


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_a_member_that_is_no_file_is_refused(flag: bytes, place: int) -> None:
    members: list[Any] = Forge(key="ec256").members()
    members[place] = tar_header(members[place][0], flag=flag, link=b"version")
    refused(tar(*members), "structure.kind")


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize(
    ("header", "rules"),
    [
        pytest.param({"off_by": 1}, ("tar.checksum",), id="wrong checksum"),
        pytest.param({"size_field": b"\xff" * 12}, ("tar.number",), id="size -1"),
        pytest.param({"size_field": b"\x80" + (2**62).to_bytes(11, "big")}, ("tar.size",), id="size of 4 EiB"),
        pytest.param(
            {"size_field": b"\x80" + (2**45).to_bytes(11, "big")},
            # Nothing of it is read where a limit is known; the data member has none, and ends too early.
            ("limit.member", "tar.truncated", "compression.trailing"),
            id="size of 32 TiB",
        ),
    ],
)
def test_a_header_block_that_lies_is_refused(header: dict[str, Any], rules: tuple[str, ...], place: int) -> None:
    members: list[Any] = Forge(key="ec256").members()
    name, body = members[place]
    members[place] = tar_member(name, body, **header)
    refused(tar(*members), rules)


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("by", [-1, 1])
def test_a_size_that_is_one_byte_off_is_refused(place: int, by: int) -> None:
    members: list[Any] = Forge(key="ec256").members()
    name, body = members[place]
    members[place] = tar_member(name, body, size_field=b"%011o\x00" % (len(body) + by))
    refused(tar(*members), policy=with_key("ec256"))


@pytest.mark.parametrize(
    "text", [b"", b"x", b"hello, world\n" * 100, b"\x1f\x8b" + bytes(600), b"PK\x03\x04" * 200, END]
)
def test_what_is_no_artifact_at_all_is_refused(text: bytes) -> None:
    refused(text)


@pytest.mark.parametrize("kind", [".gz", ".xz", ".zst"])
def test_a_compressed_artifact_is_refused(kind: str) -> None:
    refused(compress(kind, Forge().build()))


def test_two_artifacts_in_a_row_are_refused() -> None:
    refused(Forge().build() * 2, "tar.trailing")


# --- cut off


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_at_any_byte_is_refused_except_in_the_zeros_at_the_end(kind: str) -> None:
    whole = module(("a", b"some content"), kind=kind, key="ec256" if kind else None).build()
    body_end = len(whole) - len(END)
    for cut in range(body_end):
        refused(whole[:cut])
    for cut in range(body_end, len(whole)):
        if cut < body_end + 512 and cut != body_end:
            refused(whole[:cut], "tar.truncated")
        else:
            tolerated(whole[:cut], "tar.no-end")
    tolerated(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_is_refused_or_changes_nothing(kind: str) -> None:
    whole = module(("a", b"some content"), kind=kind).build()
    reference = accepted(whole)
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 0x41
        try:
            artifact = read_artifact(io.BytesIO(changed))
        except RejectedError as error:
            check_refusal(error)
        else:
            # Padding, and fields that no reader looks at.
            assert (artifact.head, artifact.files) == (reference.head, reference.files)
