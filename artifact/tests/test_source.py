"""Files, standard input and addresses are opened alike, and fail in the user's words."""

import io
import os
import sys
from pathlib import Path

import pytest

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.source import SourceNotFoundError, is_address, open_source


def read_all(name: str, size: int = 7) -> bytes:
    with open_source(name) as source:
        return b"".join(iter(lambda: source.read(size), b""))


def test_a_file_is_read_whole_and_its_size_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.mender"
    path.write_bytes(b"twenty bytes are here")
    with open_source(str(path)) as source:
        assert (source.name, source.size) == (str(path), 21)
    assert read_all(str(path)) == b"twenty bytes are here"


def test_progress_adds_up_to_the_size(tmp_path: Path) -> None:
    path = tmp_path / "a.mender"
    path.write_bytes(bytes(1000))
    counts: list[int] = []
    with open_source(str(path), on_progress=counts.append) as source:
        while source.read(64):
            pass
    assert sum(counts) == 1000
    assert 0 not in counts


def test_a_missing_file_is_told_from_other_failures(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no such file"), open_source(str(tmp_path / "none")):
        pass


def test_a_directory_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="it is a directory"), open_source(str(tmp_path)):
        pass


def test_an_empty_name_is_not_the_working_directory() -> None:
    with pytest.raises(MachineError, match="no such file"), open_source(""):
        pass


def test_a_name_with_a_nul_byte_is_refused_in_words() -> None:
    with pytest.raises(MachineError, match="cannot read"), open_source("a\0b"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.mender"
    path.touch(mode=0)
    with pytest.raises(MachineError, match="ermission denied"), open_source(str(path)):
        pass


def test_a_failing_read_is_reported_with_the_name(tmp_path: Path) -> None:
    with (
        pytest.raises(MachineError, match="cannot read /proc/self/mem: "),
        open_source("/proc/self/mem") as source,
    ):
        source.read(1)


def test_a_pipe_has_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver, sender = os.pipe()
    os.write(sender, b"from a pipe")
    os.close(sender)
    with os.fdopen(receiver, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with open_source("-") as source:
            assert source.size is None
            assert source.read(100) == b"from a pipe"
            assert source.read(100) == b""


def test_standard_input_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mender"
    path.write_bytes(b"content")
    with path.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with open_source("-") as source:
            assert (source.name, source.size) == ("standard input", 7)


def test_standard_input_without_a_descriptor_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"given")))
    assert read_all("-") == b"given"


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = os.openpty()
    with os.fdopen(follower, "r") as stdin, os.fdopen(leader, "rb"):
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(RequestError, match="terminal"), open_source("-"):
            pass


def test_closed_standard_input_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(MachineError, match="closed"), open_source("-"):
        pass


@pytest.mark.parametrize("name", ["ftp://host/a.mender", "file:///etc/passwd", "data://x"])
def test_only_http_addresses_are_read(name: str) -> None:
    with pytest.raises(RequestError, match="only http:// and https://"), open_source(name):
        pass


@pytest.mark.parametrize("name", ["http://", "https://:80/", "http://host:port/", "http://[::1/", "http://a..b/"])
def test_an_impossible_address_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="cannot use the address"), open_source(name):
        pass


def test_a_path_is_not_an_address() -> None:
    assert is_address("HTTPS://host/a")
    assert not is_address("./http:/a")
    assert not is_address("C:/a")
