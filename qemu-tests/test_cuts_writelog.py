"""What QEMU has recorded is read as it is, and a damaged log is refused."""

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cut_disks
from bistable.artifact.errors import LimitError, MachineError, RejectedError
from bistable.qemu.crash import Playback, Prefix
from bistable.qemu.picture import Picture
from bistable.qemu.writelog import MAGIC, MOST_REQUESTS, Flag, WriteLog

pytestmark = cut_disks.NEEDS_QEMU_IO


def refused(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(RejectedError, match=words):
        WriteLog(path)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return cut_disks.record(
        tmp_path, ["write -P 1 0 4k", "flush", "write -P 2 8k 512", "discard 0 8k", "write -P 3 100 1000"]
    )


def test_requests_of_a_recorded_log_come_in_order_with_their_places(recorded: Path) -> None:
    with WriteLog(recorded) as log:
        changes = [(r.start, r.length, r.flags) for r in log.requests if r.changes]
    assert changes == [(0, 4096, 0), (8192, 512, 0), (0, 8192, Flag.DISCARD), (0, 1536, 0)]


def test_flushes_are_told_apart_from_writes(recorded: Path) -> None:
    with WriteLog(recorded) as log:
        assert next(r.number for r in log.requests if Flag.FLUSH in r.flags) == 2


def test_data_of_a_request_is_what_was_written(recorded: Path) -> None:
    with WriteLog(recorded) as log:
        first, _, second, *_ = log.requests
        assert (log.data(first), log.data(second)) == (b"\1" * 4096, b"\2" * 512)


def test_the_whole_log_played_back_is_the_disk_that_qemu_wrote(recorded: Path, tmp_path: Path) -> None:
    everything = Prefix(count=len(WriteLog(recorded).requests))
    with (
        WriteLog(recorded) as log,
        Picture(tmp_path / "base.img", {}) as picture,
        Playback(log, picture).at(everything) as end,
    ):
        end.save(tmp_path / "played.img")
    compared = subprocess.run(
        ["qemu-img", "compare", "-f", "raw", "-F", "raw", tmp_path / "played.img", tmp_path / "work.img"], check=False
    )
    assert compared.returncode == 0


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "log", b"", "it is empty")


def test_a_file_that_is_not_there_is_the_machine_s_fault(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="No such file"):
        WriteLog(tmp_path / "none")


HEAD = struct.pack("<QQQI", MAGIC, 1, 1, 512).ljust(512, b"\0")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEAD[:20], "ends within its first sector"),
        (b"x" + HEAD[1:], "does not begin as one"),
        (struct.pack("<QQQI", MAGIC, 2, 1, 512).ljust(512, b"\0"), "version is 2"),
        (struct.pack("<QQQI", MAGIC, 1, 1, 513).ljust(512, b"\0"), "sectors of 513"),
        (HEAD, "ends before request 1 of 1"),
        (HEAD + struct.pack("<QQQQ", 0, 1, 8, 0).ljust(512, b"\0"), "flags 0x8"),
        (HEAD + struct.pack("<QQQQ", 0, 1, 0, 5).ljust(512, b"\0"), "request 1 has flags"),
        (HEAD + struct.pack("<QQQQ", 0, 1, 0, 0).ljust(512, b"\0"), "within the data of request 1"),
        (HEAD + struct.pack("<QQQQ", 0, 1 << 60, 0, 0).ljust(512, b"\0"), "within the data of request 1"),
    ],
)
def test_a_damaged_log_is_refused_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    refused(tmp_path / "log", content, words)


def test_a_log_that_claims_too_much_is_refused_before_memory_is_spent(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(struct.pack("<QQQI", MAGIC, 1, MOST_REQUESTS + 1, 512).ljust(512, b"\0"))
    with pytest.raises(LimitError):
        WriteLog(tmp_path / "log")


@given(cut=st.integers(0, 4000), noise=st.binary(max_size=40), at=st.integers(0, 4000))
def test_a_log_cut_off_or_overwritten_anywhere_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    whole = bytearray(
        HEAD[:16]
        + struct.pack("<QI", 3, 512).ljust(496, b"\0")
        + struct.pack("<QQQQ", 4, 2, 0, 0).ljust(512, b"\0")
        + b"a" * 1024
        + struct.pack("<QQQQ", 0, 0, 1, 0).ljust(512, b"\0")
        + struct.pack("<QQQQ", 8, 1, 2, 0).ljust(512, b"\0")
        + b"b" * 512
    )
    whole[at : at + len(noise)] = noise
    path.write_bytes(whole[:cut])
    try:
        with WriteLog(path) as log:
            assert sum(len(log.data(r)) for r in log.requests if Flag.DISCARD not in r.flags) <= cut
    except RejectedError:
        pass
