"""The disk with a volatile cache serves QEMU's own programs well, and loses exactly what a disk may lose."""

import json
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import cut_disks
from bistable.artifact.errors import MachineError, RequestError
from bistable.qemu.volatile import PlannedCut, VolatileDisk

pytestmark = cut_disks.NEEDS_QEMU_IO

SIZE = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"\xee" * SIZE)
    return path


@pytest.fixture
def disk(image: Path, tmp_path: Path) -> Iterator[VolatileDisk]:
    with VolatileDisk(image, tmp_path / "nbd") as served:
        yield served


def qemu_io(disk: VolatileDisk, *commands: str) -> str:
    return cut_disks.qemu_io(["-f", "raw", f"nbd+unix:///?socket={disk.address}"], commands)


class Cutter:
    """Plays the machine: it writes in order, and is killed."""

    def __init__(self, disk: VolatileDisk) -> None:
        self.disk = disk
        self.killed = threading.Event()

    def write_until_cut(self, count: int, *, flush_after: int | None = None, durable: int | None = None) -> None:
        with socket.socket(socket.AF_UNIX) as end:
            end.connect(str(self.disk.address))
            greet(end)
            for number in range(1, count + 1):
                flags = 1 if number == durable else 0
                data = bytes([number]) * 1024
                end.sendall(struct.pack(">IHHQQI", 0x25609513, flags, 1, number, number * 4096, 1024) + data)
                if not end.recv(16):
                    return
                if number == flush_after:
                    end.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 3, 99, 0, 0))
                    assert end.recv(16)


def greet(end: socket.socket) -> None:
    assert end.recv(18)[:8] == b"NBDMAGIC"
    end.sendall(struct.pack(">I", 3) + struct.pack(">8sII", b"IHAVEOPT", 1, 0))
    size, features = struct.unpack(">QH", end.recv(10))
    assert size == SIZE
    assert features & 0b1101 == 0b1101


def test_qemu_img_sees_a_disk_of_the_right_size(disk: VolatileDisk) -> None:
    said = subprocess.run(
        ["qemu-img", "info", "--output=json", f"nbd+unix:///?socket={disk.address}"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(said.stdout)["virtual-size"] == SIZE


def test_qemu_io_reads_back_what_it_wrote_flushed_or_not(disk: VolatileDisk) -> None:
    said = qemu_io(disk, "write -P 5 1k 2k", "read -P 5 1k 2k", "read -P 0xee 0 1k", "flush", "read -P 5 1k 2k")
    assert "verification failed" not in said


def test_a_write_over_a_part_of_another_is_read_back(disk: VolatileDisk) -> None:
    assert "verification failed" not in qemu_io(
        disk, "write -P 5 0 8k", "write -P 6 4k 1k", "read -P 5 0 4k", "read -P 6 4k 1k", "read -P 5 5k 3k"
    )


def test_a_disk_copied_in_and_out_by_qemu_img_is_the_same(disk: VolatileDisk, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(range(256)) * (SIZE // 256))
    address = f"nbd+unix:///?socket={disk.address}"
    for words in ((tmp_path / "source", address), (address, tmp_path / "copy")):
        subprocess.run(
            ["qemu-img", "convert", "-n" if words[1] == address else "-q", "-f", "raw", "-O", "raw", *words],
            check=True,
            timeout=60,
        )
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "source").read_bytes()


def test_what_was_written_reaches_the_file_when_the_machine_is_switched_off(image: Path, tmp_path: Path) -> None:
    with VolatileDisk(image, tmp_path / "nbd") as disk:
        Cutter(disk).write_until_cut(3)
    assert image.read_bytes()[4096:5120] == b"\1" * 1024


def test_nothing_reaches_the_file_before_a_flush(disk: VolatileDisk, image: Path) -> None:
    Cutter(disk).write_until_cut(3)
    assert image.read_bytes() == b"\xee" * SIZE


def test_a_flush_brings_all_to_the_file(disk: VolatileDisk, image: Path) -> None:
    Cutter(disk).write_until_cut(3, flush_after=3)
    assert image.read_bytes()[3 * 4096 : 3 * 4096 + 1024] == b"\3" * 1024


def cut(image: Path, tmp_path: Path, seed: int, **what: int) -> tuple[VolatileDisk, set[int]]:
    """Cut at the 8th write; the writes of which something is in the file."""
    image.write_bytes(b"\xee" * SIZE)
    with VolatileDisk(image, tmp_path / "nbd") as disk:
        cutter = Cutter(disk)
        disk.plan(PlannedCut(write=8, seed=seed), cutter.killed.set)
        cutter.write_until_cut(20, **what)
        assert disk.was_cut.wait(30)
        assert cutter.killed.is_set()
    found = image.read_bytes()
    return disk, {n for n in range(1, 21) if set(found[n * 4096 : n * 4096 + 1024]) != {0xEE}}


def test_the_power_goes_at_exactly_the_write_that_was_named(image: Path, tmp_path: Path) -> None:
    disk, found = cut(image, tmp_path, 1)
    assert disk.writes == 8
    assert max(found, default=0) <= 8


def test_what_was_flushed_survives_and_the_rest_is_chance(image: Path, tmp_path: Path) -> None:
    seen = [frozenset(cut(image, tmp_path, seed, flush_after=3)[1]) for seed in range(30)]
    assert all({1, 2, 3} <= found for found in seen)
    assert len(set(seen)) > 5


def test_a_write_with_fua_survives_while_others_around_it_do_not(image: Path, tmp_path: Path) -> None:
    seen = [cut(image, tmp_path, seed, durable=5)[1] for seed in range(20)]
    assert all(5 in found for found in seen)
    assert any(found == {5} for found in seen)


def test_a_seed_always_loses_the_same(image: Path, tmp_path: Path) -> None:
    cut(image, tmp_path, 7)
    first = image.read_bytes()
    cut(image, tmp_path, 7)
    assert image.read_bytes() == first


def test_nothing_more_is_taken_after_the_cut(image: Path, tmp_path: Path) -> None:
    with VolatileDisk(image, tmp_path / "nbd") as disk:
        disk.plan(PlannedCut(write=2, seed=1), lambda: None)
        Cutter(disk).write_until_cut(3)
        after = image.read_bytes()
        Cutter(disk).write_until_cut(3)
        assert image.read_bytes() == after


def test_a_cut_in_the_past_is_refused(disk: VolatileDisk) -> None:
    Cutter(disk).write_until_cut(3)
    with pytest.raises(RequestError, match="there were 3 already"):
        disk.plan(PlannedCut(write=3, seed=1), lambda: None)


def test_a_request_outside_the_disk_gets_an_error_and_harms_nobody(disk: VolatileDisk) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(disk.address))
        greet(end)
        end.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 7, SIZE - 512, 1024))
        _, trouble, cookie = struct.unpack(">IIQ", end.recv(16))
        assert (trouble, cookie) == (22, 7)
        end.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 9, 8, 0, 512))
        assert struct.unpack(">IIQ", end.recv(16))[1:] == (22, 8)
        end.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 9, 0, 512))
        assert struct.unpack(">IIQ", end.recv(16))[1:] == (0, 9)
        assert end.recv(512) == b"\xee" * 512


def talk_nonsense(image: Path, address: Path) -> None:
    with VolatileDisk(image, address), socket.socket(socket.AF_UNIX) as end:
        end.connect(str(address))
        end.recv(18)
        end.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert end.recv(10) == b""


def test_a_client_that_speaks_something_else_is_told_of_at_the_end(image: Path, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="does not speak"):
        talk_nonsense(image, tmp_path / "nbd")


def test_an_image_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot serve"), VolatileDisk(tmp_path / "none", tmp_path / "nbd"):
        pass
