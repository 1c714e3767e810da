"""The harness itself, without a boot: what it would say of machines, and what it makes for them."""

import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from bistable.artifact.errors import MachineError
from bistable.qemu import cache
from bistable.qemu.disks import Disk, failing, plain
from bistable.qemu.rig import copy_sparse
from bistable.qemu.rootfs import cpio
from bistable.qemu.rootfs.kernel import Kernel, loading_order


def test_an_archive_for_the_kernel_is_one_for_other_programs_too_and_always_the_same(tmp_path: Path) -> None:
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


def test_modules_are_loaded_after_those_that_they_need(tmp_path: Path) -> None:
    def module(name: str, *needed: str) -> Path:
        path = tmp_path / f"{name}.ko"
        path.write_bytes(b"\x7fELF\0license=GPL\0depends=" + ",".join(needed).encode() + b"\0name=x\0")
        return path

    kernel = Kernel(
        release="1",
        image=tmp_path,
        modules={"disk": module("disk", "ring", "bus"), "ring": module("ring"), "bus": module("bus", "ring")},
    )
    assert loading_order(kernel, ["disk", "built-in"]) == ["ring", "bus", "disk"]


def test_what_is_kept_is_made_once_though_many_want_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("content")

    threads = [threading.Thread(target=cache.made, args=("thing", "key", make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (tmp_path / "thing" / "key").read_text() == "content"


def test_what_could_not_be_made_is_not_kept_and_made_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))

    def fail(path: Path) -> None:
        path.write_text("half")
        raise MachineError("cannot")

    def make(path: Path) -> None:
        path.write_text("whole")

    with pytest.raises(MachineError):
        cache.made("thing", "key", fail)
    assert cache.made("thing", "key", make).read_text() == "whole"


def test_only_so_many_of_one_name_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    for number in range(4):
        cache.made("thing", str(number), lambda path: path.touch(), kept=2)
    assert len([item for item in (tmp_path / "thing").iterdir() if not item.name.startswith(".")]) == 2


def test_a_copy_of_a_sparse_file_is_sparse(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.seek(8 << 20)
        file.write(b"x" * 4096)
        file.truncate(16 << 20)
    target = copy_sparse(source, tmp_path / "target")
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("make", [plain, lambda path: failing(path, first_sector=8)])
def test_every_kind_of_disk_is_one_that_qemu_can_open(make: Callable[[Path], Disk], tmp_path: Path) -> None:
    if shutil.which("qemu-storage-daemon") is None:
        pytest.skip("qemu-storage-daemon is not installed (package qemu-utils)")
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    arguments = make(image).arguments
    pid = tmp_path / "pid"
    command: list[str | Path] = ["qemu-storage-daemon", "--blockdev", *arguments[1:], "--pidfile", pid, "--daemonize"]
    subprocess.run(command, check=True, timeout=30)
    subprocess.run(["kill", pid.read_text().strip()], check=True, timeout=30)
