"""What the bench starts and serves on this computer, and how long it waits."""

import os
import select
import urllib.request
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path

import pytest

from bistable.artifact.errors import MachineError
from bistable.tools.bench import patience
from bistable.tools.bench.errors import MisuseError
from bistable.tools.bench.run import Running, require
from bistable.tools.bench.serving import HOST, Server


def ask(server: Server, url: str, start: int | None = None) -> HTTPResponse:
    """Ask a server as the device does, from this computer."""
    request = urllib.request.Request(url.replace(HOST, "127.0.0.1"))
    if start is not None:
        request.add_header("Range", f"bytes={start}-")
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=10)
    return answer


def test_the_server_gives_a_file_whole_or_from_a_byte_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with Server() as server:
        url = server.add(tmp_path / "file")
        assert ask(server, url).read() == b"0123456789"
        with ask(server, url, 4) as answer:
            assert (answer.status, answer.read()) == (206, b"456789")
            assert answer.headers["Content-Range"] == "bytes 4-9/10"
        assert server.requests == [("file", 0), ("file", 4)]


def test_the_server_cuts_a_connection_off_after_so_many_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with Server() as server:
        url = server.add(tmp_path / "file")
        server.cut("file", 3)
        with pytest.raises(Exception, match="IncompleteRead"):
            ask(server, url).read()
        assert ask(server, url).read() == b"0123456789"
        with pytest.raises(MisuseError):
            server.cut("other", 1)


def test_the_factor_for_time_limits_has_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(patience.VARIABLE, "2.5")
    assert patience.scaled(10) == 25
    for wrong in ("0", "-1", "soon", "nan"):
        monkeypatch.setenv(patience.VARIABLE, wrong)
        with pytest.raises(MisuseError, match=patience.VARIABLE):
            patience.scaled(10)


def test_a_program_that_is_missing_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError) as failed:
        require("qemu-system-x86_64")
    assert failed.value.hint == "install the package qemu-system-x86"


def test_a_started_program_and_what_it_started_are_gone_after_the_block(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with Running(["/bin/sh", "-c", "sleep 1000 & echo $!; wait"], output=output) as program:
        while not output.read_text().strip():
            assert program.ended() is None
        child = int(output.read_text())
    assert program.ended() is not None
    # It was told to end, which takes it a moment.
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(child)
        try:
            assert select.select([handle], [], [], 30)[0]
        finally:
            os.close(handle)
