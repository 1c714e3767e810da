"""The harness itself, without a boot: what it would say of machines, and what it makes for them."""

import os
import select
import shutil
import socket
import stat
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest

from bistable.artifact.errors import MachineError
from bistable.qemu import cache
from bistable.qemu.disks import failing, plain
from bistable.qemu.rig import copy_sparse
from bistable.qemu.rootfs import cpio
from bistable.qemu.rootfs.kernel import Kernel, loading_order
from bistable.tools.bench import patience
from bistable.tools.bench.console import Console
from bistable.tools.bench.errors import DeathError, GoneError, LateError, MisuseError
from bistable.tools.bench.run import Running, require
from bistable.tools.bench.serving import HOST, Server
from bistable.tools.bench.wires import DescriptorWire

SOON = 0.2


@pytest.fixture
def line(tmp_path):
    """A console, and the machine's end of its line."""
    console = Console(tmp_path / "console.log")
    ours, theirs = socket.socketpair()
    console.attach(DescriptorWire(ours.detach()))

    def say(text):
        theirs.sendall(text.encode())

    yield console, say, theirs
    console.detach()
    theirs.close()


def test_a_console_gives_what_matched_and_passes_what_came_before(line):
    console, say, _ = line
    say("noise\r\nbistable: booting slot a\r\nmore")
    assert console.expect("booting slot a", seconds=5)[0] == "booting slot a"
    assert console.before == "noise\r\nbistable: "


def test_a_panic_ends_the_waiting_with_an_error_that_shows_the_console(line):
    console, say, _ = line
    say("starting\r\nKernel panic - not syncing: no init\r\n")
    with pytest.raises(DeathError, match="Kernel panic") as failed:
        console.expect("ready", seconds=5)
    assert "| starting" in str(failed.value)


def test_a_panic_that_is_expected_is_nothing_special(line):
    console, say, _ = line
    say("Kernel panic - not syncing\r\nready\r\n")
    with console.tolerating("Kernel panic - not syncing"):
        console.expect("ready", seconds=5)


def test_only_words_that_mean_a_death_can_be_tolerated(line):
    console, _, _ = line
    with pytest.raises(MisuseError, match="none of the words"), console.tolerating("hello"):
        pass


def test_what_does_not_come_in_time_and_what_ends_are_different_errors(line):
    console, say, theirs = line
    say("booting\r\n")
    with pytest.raises(LateError, match="'ready'"):
        console.expect("ready", seconds=SOON)
    theirs.shutdown(socket.SHUT_RDWR)
    with pytest.raises(GoneError):
        console.expect("ready", seconds=5)


def test_lines_of_the_console_are_found_without_control_characters(line):
    console, say, _ = line
    say("\x1b[2J\x1b[01;01Hbistable: booting slot b\x1b[0m\r\nother\r\n")
    assert console.lines("bistable: ") == ["bistable: booting slot b"]


def test_an_archive_for_the_kernel_is_one_for_other_programs_too_and_always_the_same(tmp_path):
    if shutil.which("bsdtar") is None:
        pytest.skip("bsdtar is not installed (package libarchive-tools)")
    files = {
        PurePosixPath("init"): (stat.S_IFREG | 0o755, b"#!/bin/sh\n"),
        PurePosixPath("bin/sh"): (stat.S_IFLNK | 0o777, b"busybox"),
        PurePosixPath("lib/odd"): (stat.S_IFREG | 0o644, b"123"),
    }
    archive = tmp_path / "initrd"
    archive.write_bytes(cpio.pack(files))
    assert cpio.pack(dict(reversed(files.items()))) == archive.read_bytes()
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["bsdtar", "-xf", archive, "-C", out], check=True, timeout=30)
    assert (out / "init").read_bytes() == b"#!/bin/sh\n"
    assert (out / "init").stat().st_mode & 0o777 == 0o755
    assert (out / "bin/sh").readlink() == Path("busybox")
    assert (out / "lib/odd").read_bytes() == b"123"


def test_modules_are_loaded_after_those_that_they_need(tmp_path):
    def module(name, *needed):
        path = tmp_path / f"{name}.ko"
        path.write_bytes(b"\x7fELF\0license=GPL\0depends=" + ",".join(needed).encode() + b"\0name=x\0")
        return path

    kernel = Kernel(
        release="1",
        image=tmp_path,
        modules={"disk": module("disk", "ring", "bus"), "ring": module("ring"), "bus": module("bus", "ring")},
    )
    assert loading_order(kernel, ["disk", "built-in"]) == ["ring", "bus", "disk"]


def test_what_is_kept_is_made_once_though_many_want_it(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    made = []

    def make(path):
        made.append(path)
        path.write_text("content")

    threads = [threading.Thread(target=cache.made, args=("thing", "key", make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (tmp_path / "thing" / "key").read_text() == "content"


def test_what_could_not_be_made_is_not_kept_and_made_the_next_time(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))

    def fail(path):
        path.write_text("half")
        raise MachineError("cannot")

    with pytest.raises(MachineError):
        cache.made("thing", "key", fail)
    assert cache.made("thing", "key", lambda path: path.write_text("whole") and None).read_text() == "whole"


def test_only_so_many_of_one_name_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    for number in range(4):
        cache.made("thing", str(number), lambda path: path.touch(), kept=2)
    assert len([item for item in (tmp_path / "thing").iterdir() if not item.name.startswith(".")]) == 2


def ask(server, url, start=None):
    """Ask a server as the device does, from this computer."""
    request = urllib.request.Request(url.replace(HOST, "127.0.0.1"))
    if start is not None:
        request.add_header("Range", f"bytes={start}-")
    return urllib.request.urlopen(request, timeout=10)


def test_the_server_gives_a_file_whole_or_from_a_byte_on(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with Server() as server:
        url = server.add(tmp_path / "file")
        assert ask(server, url).read() == b"0123456789"
        with ask(server, url, 4) as answer:
            assert (answer.status, answer.read()) == (206, b"456789")
            assert answer.headers["Content-Range"] == "bytes 4-9/10"
        assert server.requests == [("file", 0), ("file", 4)]


def test_the_server_cuts_a_connection_off_after_so_many_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with Server() as server:
        url = server.add(tmp_path / "file")
        server.cut("file", 3)
        with pytest.raises(Exception, match="IncompleteRead"):
            ask(server, url).read()
        assert ask(server, url).read() == b"0123456789"
        with pytest.raises(MisuseError):
            server.cut("other", 1)


def test_the_factor_for_time_limits_has_to_be_one(monkeypatch):
    monkeypatch.setenv(patience.VARIABLE, "2.5")
    assert patience.scaled(10) == 25
    for wrong in ("0", "-1", "soon", "nan"):
        monkeypatch.setenv(patience.VARIABLE, wrong)
        with pytest.raises(MisuseError, match=patience.VARIABLE):
            patience.scaled(10)


def test_a_program_that_is_missing_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError) as failed:
        require("qemu-system-x86_64")
    assert failed.value.hint == "install the package qemu-system-x86"


def test_a_started_program_and_what_it_started_are_gone_after_the_block(tmp_path):
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


def test_a_copy_of_a_sparse_file_is_sparse(tmp_path):
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.seek(8 << 20)
        file.write(b"x" * 4096)
        file.truncate(16 << 20)
    target = copy_sparse(source, tmp_path / "target")
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("make", [plain, lambda path: failing(path, first_sector=8)])
def test_every_kind_of_disk_is_one_that_qemu_can_open(make, tmp_path):
    if shutil.which("qemu-storage-daemon") is None:
        pytest.skip("qemu-storage-daemon is not installed (package qemu-utils)")
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    arguments = make(image).arguments
    command = ["qemu-storage-daemon", "--blockdev", *arguments[1:], "--pidfile", tmp_path / "pid", "--daemonize"]
    subprocess.run(command, check=True, timeout=30)
    subprocess.run(["kill", (tmp_path / "pid").read_text().strip()], check=True, timeout=30)
