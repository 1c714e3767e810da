"""Reading a whole artifact: structure, payload, compression, sinks, pipes. FORMAT.md §1, §6, §7, §11."""

import gzip
import hashlib
import io
import os
import socket
import threading
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from answers import Recorder, Trickle, accepted, check_refusal, refused, tolerated, with_key
from forge import (
    END,
    GNU,
    IMAGE,
    KINDS,
    V7,
    Forge,
    Member,
    bootstrap,
    compress,
    module,
    pax,
    tar,
    tar_header,
    tar_member,
    version_2,
)
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact import ArtifactReader, Compression, PayloadFile, RejectedError, read_artifact
from bistable.artifact.reader import IncomingFile

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


# --- the payload (§6)


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_a_module_may_have_any_number_of_files(count: int) -> None:
    files = [(f"file-{n}", b"x" * n * 7) for n in range(count)]
    artifact = tolerated(module(*files).build())
    assert [file.name for file in artifact.files] == [name for name, _ in files]


def test_files_may_stand_in_another_order_than_in_the_manifest() -> None:
    files = [("a", b"1"), ("b", b"2"), ("c", b"")]
    tolerated(module(*files, data_archive=tar(*files[::-1])).build())


def test_ten_thousand_files_are_the_limit() -> None:
    files = [(f"{n}", b"") for n in range(10_001)]
    accepted(module(*files[:-1]).build())
    refused(module(*files).build(), "limit.files")


@pytest.mark.parametrize("count", [2, 3])
def test_a_rootfs_image_has_no_second_file(count: int) -> None:
    refused(Forge(files=[(f"f{n}", b"") for n in range(count)]).build(), "payload.count")


def test_a_rootfs_image_without_a_file_is_tolerated() -> None:
    tolerated(Forge(files=()).build(), "payload.none")


@pytest.mark.parametrize("parts", [module(), bootstrap(), Forge(files=())], ids=["module", "bootstrap", "rootfs"])
def test_a_missing_data_member_is_tolerated_if_there_is_no_file(parts: Forge) -> None:
    artifact = accepted(tar(*parts.members()[:-1]))
    assert "data.missing" in {finding.rule for finding in artifact.findings}


@pytest.mark.parametrize("parts", [Forge(), module(("a", b"")), version_2()], ids=["rootfs", "module", "version 2"])
def test_a_missing_data_member_is_refused_if_there_is_a_file(parts: Forge) -> None:
    refused(tar(*parts.members()[:-1]), "payload.missing")


@pytest.mark.parametrize(
    "name", ["../../rootfs.ext4", "/rootfs.ext4", "./rootfs.ext4", "rootfs.ext4/../rootfs.ext4", "rootfs"]
)
def test_a_file_of_another_name_than_listed_is_refused(name: str) -> None:
    refused(Forge(data_archive=tar((name, IMAGE))).build(), "payload.unlisted")


@pytest.mark.parametrize("name", ["rootfs.ext4\n", "rootfs.ext4\x1b[2J", "r" * 40_000])
def test_an_odd_name_in_the_data_member_is_refused_and_not_printed(name: str) -> None:
    refused(Forge(data_archive=tar(pax(("path", name)), ("x", IMAGE))).build(), "payload.unlisted")


@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_a_payload_member_that_is_no_file_is_refused_even_if_nothing_is_what_was_listed(flag: bytes) -> None:
    member = tar_header("link", flag=flag, link=b"/etc/passwd")
    refused(module(("link", b""), data_archive=tar(member)).build(), "payload.kind")


def test_a_directory_in_the_data_member_is_refused() -> None:
    refused(Forge(data_archive=tar(tar_header("./", flag=b"5"), ("rootfs.ext4", IMAGE))).build(), "payload.kind")


@pytest.mark.parametrize(
    ("archive", "rule"),
    [
        pytest.param(tar(("rootfs.ext4", IMAGE), ("rootfs.ext4", IMAGE)), "payload.unlisted", id="file twice"),
        pytest.param(tar(("rootfs.ext4", IMAGE), ("evil", b"")), "payload.unlisted", id="file not listed"),
        pytest.param(tar(), "payload.missing", id="no file"),
        pytest.param(b"", "payload.missing", id="nothing"),
        pytest.param(tar(("rootfs.ext4", IMAGE + b"x")), "digest.mismatch", id="a byte more"),
        pytest.param(tar(("rootfs.ext4", IMAGE[:-1])), "digest.mismatch", id="a byte less"),
        pytest.param(tar(("rootfs.ext4", b"")), "digest.mismatch", id="empty file"),
        pytest.param(tar(("rootfs.ext4", IMAGE), END, ("evil", b"")), "tar.trailing", id="file behind the end"),
        pytest.param(tar(("rootfs.ext4", IMAGE), END, b"x"), "tar.trailing", id="byte behind the end"),
        pytest.param(tar(("rootfs.ext4", IMAGE))[:-1200], "tar.truncated", id="cut"),
        pytest.param(b"not an archive" * 50, "tar.number", id="no archive"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_data_archive_that_is_not_what_was_listed_is_refused(archive: bytes, rule: str, kind: str) -> None:
    refused(Forge(kind=kind, data_archive=archive).build(), rule)


def test_a_data_archive_without_an_end_is_tolerated() -> None:
    tolerated(Forge(data_archive=tar(("rootfs.ext4", IMAGE), end=b"")).build(), "tar.no-end")


# --- compression (§7)


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("member", ["header", "data"])
@pytest.mark.parametrize(
    ("change", "rules"),
    [
        pytest.param(lambda s: s + b"garbage!", ("compression.trailing", "compression.corrupt"), id="rubbish behind"),
        pytest.param(lambda s: s + b"\x00", ("compression.trailing", "compression.truncated"), id="zero behind"),
        pytest.param(lambda s: s[:-1], ("compression.truncated",), id="a byte less"),
        pytest.param(lambda s: s[: len(s) // 2], ("compression.truncated",), id="half"),
        pytest.param(lambda s: s[:3], ("compression.truncated",), id="three bytes"),
        pytest.param(lambda s: b"", ("compression.truncated",), id="nothing"),
        pytest.param(lambda s: s[1:], ("compression.mismatch",), id="first byte gone"),
    ],
)
def test_a_compressed_stream_must_be_whole_and_alone(
    change: Callable[[bytes], bytes], rules: tuple[str, ...], member: str, kind: str
) -> None:
    parts = Forge(kind=kind)
    stored = dict(parts.members())
    name = f"header.tar{kind}" if member == "header" else f"data/0000.tar{kind}"
    setattr(parts, member, change(stored[name]))
    refused(parts.build(), rules)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_several_streams_in_a_row_are_accepted(kind: str) -> None:
    archive = tar(("rootfs.ext4", IMAGE))
    stored = b"".join(compress(kind, archive[i : i + 700]) for i in range(0, len(archive), 700))
    tolerated(Forge(kind=kind, data=stored).build())


@pytest.mark.parametrize("place", [-8, -4], ids=["CRC", "length"])
def test_a_wrong_trailer_of_gzip_is_refused(place: int) -> None:
    stored = bytearray(gzip.compress(tar(("rootfs.ext4", IMAGE))))
    stored[place] ^= 1
    refused(Forge(data=bytes(stored)).build(), "compression.corrupt")


@pytest.mark.parametrize("named", KINDS)
@pytest.mark.parametrize("real", KINDS)
def test_name_and_content_of_the_data_member_must_agree(named: str, real: str) -> None:
    data = Forge(data_kind=named, data=compress(real, tar(("rootfs.ext4", IMAGE)))).build()
    if named == real:
        tolerated(data)
    else:
        refused(data, "compression.mismatch")


def test_a_deflate_stream_without_gzip_is_refused() -> None:
    refused(Forge(data=zlib.compress(tar(("rootfs.ext4", IMAGE)))).build(), "compression.mismatch")


# --- sinks


def test_a_sink_gets_every_file_and_a_commit_for_each() -> None:
    sink = Recorder()
    read_artifact(io.BytesIO(module(("a", b"123"), ("b", b""), ("c", b"45")).build()), None, sink)
    assert sink.calls == ["begin a 3", "write", "commit", "begin b 0", "commit", "begin c 2", "write", "commit"]
    assert sink.files == {"a": b"123", "b": b"", "c": b"45"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_sink_is_told_to_discard_a_file_whose_digest_is_wrong_and_nothing_after(kind: str) -> None:
    sink = Recorder()
    files = [("a", b"1"), ("b", b"2"), ("c", b"3")]
    parts = module(*files, kind=kind, data_archive=tar(("a", b"1"), ("b", b"X"), ("c", b"3")))
    with pytest.raises(RejectedError):
        read_artifact(io.BytesIO(parts.build()), None, sink)
    assert sink.calls == ["begin a 1", "write", "commit", "begin b 1", "write", "discard"]
    assert sink.files == {"a": b"1"}


def test_a_sink_is_told_to_discard_a_file_that_is_cut_off() -> None:
    sink = Recorder()
    whole = module(("a", bytes(5000)), kind="").build()
    with pytest.raises(RejectedError):
        read_artifact(io.BytesIO(whole[:-3000]), None, sink)
    assert (sink.calls, sink.files) == (["begin a 5000", "write", "discard"], {})


@pytest.mark.parametrize("by", [{"lines": lambda ls: ls[1:]}, {"key": "rsa2048", "signature": lambda raw: b"AAAA"}])
def test_a_sink_hears_nothing_of_an_artifact_that_is_refused_for_its_head(by: dict[str, Any]) -> None:
    sink = Recorder()
    with pytest.raises(RejectedError):
        read_artifact(io.BytesIO(Forge(**by).build()), with_key("rsa2048"), sink)
    assert sink.calls == []


class Failing(Recorder):
    """A sink whose disk is full."""

    def write(self, data: bytes) -> None:
        super().write(data)
        raise OSError(28, "No space left on device")


def test_a_sink_that_fails_is_told_to_discard_and_its_error_comes_out() -> None:
    sink = Failing()
    with pytest.raises(OSError, match="No space left"):
        read_artifact(io.BytesIO(Forge().build()), None, sink)
    assert sink.calls == [f"begin rootfs.ext4 {len(IMAGE)}", "write", "discard"]


# --- step by step


def test_a_reader_that_takes_no_file_checks_all_of_them() -> None:
    assert ArtifactReader(io.BytesIO(Forge().build())).finish().files[0].size == len(IMAGE)
    with pytest.raises(RejectedError) as caught:
        ArtifactReader(io.BytesIO(Forge(data_archive=tar(("rootfs.ext4", b"x"))).build())).finish()
    check_refusal(caught.value, "digest.mismatch")


def test_a_reader_that_stops_after_the_last_file_still_checks_the_end_of_the_stream() -> None:
    stored = bytearray(gzip.compress(tar(("rootfs.ext4", IMAGE))))
    stored[-8] ^= 1
    reader = ArtifactReader(io.BytesIO(Forge(data=bytes(stored)).build()))
    assert next(reader.files()).finish().name == "rootfs.ext4"
    with pytest.raises(RejectedError) as caught:
        reader.finish()
    check_refusal(caught.value, "compression.corrupt")


def test_a_failure_that_was_swallowed_is_not_forgotten() -> None:
    reader = ArtifactReader(io.BytesIO(Forge(data_archive=tar(("rootfs.ext4", b"x"))).build()))
    incoming = next(reader.files())
    for _ in range(3):
        with pytest.raises(RejectedError):
            incoming.finish()
        with pytest.raises(RejectedError):
            reader.finish()


def test_an_unread_rest_of_a_file_is_read_with_the_next_one() -> None:
    reader = ArtifactReader(io.BytesIO(module(("a", bytes(2_000_000)), ("b", b"2")).build()))
    names = []
    for incoming in reader.files():
        names.append(incoming.name)
        next(incoming.chunks())
    assert names == ["a", "b"]
    assert [file.size for file in reader.finish().files] == [2_000_000, 1]


def test_the_head_can_be_read_alone_and_twice() -> None:
    reader = ArtifactReader(io.BytesIO(Forge().build()))
    assert reader.read_head() is reader.read_head()
    assert reader.data_compression is Compression.GZIP
    assert [name for name, _ in reader.members] == ["version", "manifest", "header.tar.gz"]


def test_the_place_of_the_data_member_is_known_after_the_head() -> None:
    data = Forge(kind="").build()
    reader = ArtifactReader(io.BytesIO(data))
    reader.read_head()
    start, body, end = reader.data_span or (0, 0, 0)
    assert data[start : start + 13] == b"data/0000.tar"
    assert data[body:end] == tar(("rootfs.ext4", IMAGE))


# --- pipes and sockets


@given(st.sampled_from(KINDS), st.lists(st.integers(1, 1500), min_size=1, max_size=6), st.sampled_from([None, "ec256"]))
def test_the_pieces_in_which_bytes_arrive_do_not_matter(kind: str, pieces: list[int], key: str | None) -> None:
    data = module(("a", IMAGE), ("b", b""), ("c", b"x" * 512), kind=kind, key=key).build()
    assert accepted(Trickle(data, pieces)) == accepted(data)


@pytest.mark.parametrize("kind", KINDS)
def test_one_byte_at_a_time_is_enough(kind: str) -> None:
    data = Forge(kind=kind, key="rsa2048").build()
    assert accepted(Trickle(data, [1])) == accepted(data)


@given(st.sampled_from(KINDS), st.lists(st.integers(1, 900), min_size=1, max_size=4), st.integers(0, 5000))
def test_a_cut_is_refused_whatever_the_pieces(kind: str, pieces: list[int], place: int) -> None:
    data = Forge(kind=kind).build()
    refused(Trickle(data[: place % (len(data) - len(END))], pieces))


def fed(write: Callable[[bytes], object], close: Callable[[], object], data: bytes) -> threading.Thread:
    def feed() -> None:
        for start in range(0, len(data), 700):
            write(data[start : start + 700])
        close()

    thread = threading.Thread(target=feed)
    thread.start()
    return thread


def test_an_artifact_is_read_from_a_pipe() -> None:
    source, target = os.pipe()
    thread = fed(lambda data: os.write(target, data), lambda: os.close(target), Forge().build())
    with os.fdopen(source, "rb", buffering=0) as file:
        accepted(file)
    thread.join()


def test_an_artifact_is_read_from_a_socket() -> None:
    ours, theirs = socket.socketpair()
    thread = fed(theirs.sendall, theirs.close, Forge().build())
    with ours, ours.makefile("rb", buffering=0) as file:
        accepted(file)
    thread.join()


def test_files_are_described_by_name_size_and_digest() -> None:
    file = accepted(module(("a", b"")).build()).files[0]
    assert file == PayloadFile(
        name="a", size=0, digest="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


# --- files that are hashed by who keeps them


def unhashed(content: bytes = IMAGE) -> tuple[ArtifactReader, IncomingFile, bytes]:
    reader = ArtifactReader(io.BytesIO(Forge(data_archive=tar(("rootfs.ext4", content))).build()))
    incoming = next(reader.files())
    return reader, incoming, b"".join(incoming.unhashed_chunks())


def test_a_file_is_taken_by_the_digest_of_what_became_of_it() -> None:
    reader, incoming, content = unhashed()
    assert content == IMAGE
    found = incoming.finish_as(hashlib.sha256(content).hexdigest())
    assert (found.name, found.size) == ("rootfs.ext4", len(IMAGE))
    assert reader.finish().files == (found,)


def test_a_file_that_became_something_else_is_refused_for_good() -> None:
    reader, incoming, content = unhashed()
    other = hashlib.sha256(content + b"x").hexdigest()
    for attempt in (partial(incoming.finish_as, other), incoming.finish):
        with pytest.raises(RejectedError, match="not the one in the manifest"):
            attempt()
    with pytest.raises(RejectedError, match="not the one in the manifest"):
        reader.finish()


def test_a_file_of_which_only_a_part_was_taken_is_refused_whatever_its_digest() -> None:
    reader = ArtifactReader(io.BytesIO(Forge(data_archive=tar(("rootfs.ext4", IMAGE))).build()))
    with pytest.raises(RejectedError, match="not the one in the manifest"):
        next(reader.files()).finish_as(hashlib.sha256(IMAGE).hexdigest())


def test_a_file_whose_bytes_nobody_has_vouched_for_ends_the_reading() -> None:
    reader, _, _ = unhashed()
    with pytest.raises(RejectedError, match="not the one in the manifest"):
        reader.finish()
