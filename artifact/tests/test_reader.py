"""What a caller of the reader gets: sinks, single steps, and bytes out of pipes and sockets. FORMAT.md §11."""

import gzip
import hashlib
import io
import os
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from answers import Recorder, Trickle, accepted, check_refusal, refused, with_key
from forge import END, IMAGE, KINDS, Forge, module, tar
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact import ArtifactReader, Compression, PayloadFile, RejectedError, read_artifact
from bistable.artifact.reader import IncomingFile

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
