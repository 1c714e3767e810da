"""What can be a slot is opened by nobody else, written past the page cache, and zeroed by its own means."""

import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_slots import MIB, loop_device, make_file_system, mounting, random_bytes

from bistable.client.errors import SlotError
from bistable.client.install.direct import UNSYNCED, DirectFile, aligned
from bistable.client.install.medium import BLKZEROOUT, UbiMedium, is_ubi_volume, open_medium, write_ioctl
from bistable.client.install.writer import SlotWriter, Written

OLD = random_bytes(6 * MIB, seed=5)


@pytest.fixture
def backing(tmp_path: Path) -> Path:
    """Give the file behind the device; its size is a multiple of 512, the smallest block, and of nothing more."""
    path = tmp_path / "backing"
    path.write_bytes(OLD[: -4096 + 512])
    return path


@pytest.fixture
def device(backing: Path) -> Iterator[Path]:
    yield from loop_device(backing)


def write(path: Path, image: bytes, *, skip_identical: bool = False) -> Written:
    with SlotWriter(open_medium(path), len(image), name=path, skip_identical=skip_identical) as writer:
        writer.write(image)
        return writer.finish()


def sectors_written(device: Path) -> int:
    return int(Path(f"/sys/block/{device.name}/stat").read_text().split()[6])


@pytest.mark.parametrize("length", [1, 512, 4096, MIB, MIB + 1, 3 * MIB + 4097, len(OLD) - 4096 + 512])
@pytest.mark.parametrize("skip", [False, True])
def test_a_block_device_gets_the_image_and_keeps_what_lies_behind(
    device: Path, backing: Path, length: int, skip: bool
) -> None:
    image = (random_bytes(MIB) + bytes(2 * MIB) + OLD[3 * MIB : 4 * MIB] + random_bytes(2 * MIB))[:length]
    done = write(device, image, skip_identical=skip)
    os.sync()
    assert backing.read_bytes() == image + OLD[length : -4096 + 512]
    assert done.written + done.zeroed + done.identical == length


def test_zeros_on_a_block_device_are_not_written_by_us_but_read_as_zeros(device: Path, backing: Path) -> None:
    done = write(device, bytes(4 * MIB))
    assert done == Written(written=0, zeroed=4 * MIB, identical=0)
    assert device.read_bytes()[: 5 * MIB] == bytes(4 * MIB) + OLD[4 * MIB : 5 * MIB]


def test_an_identical_image_causes_no_write_to_the_device(device: Path, backing: Path) -> None:
    before = sectors_written(device)
    assert write(device, OLD[: 5 * MIB + 99], skip_identical=True).identical == 5 * MIB + 99
    assert sectors_written(device) == before


def test_writing_leaves_no_dirty_page_behind(device: Path) -> None:
    medium = open_medium(device)
    data = aligned(MIB)
    data[:] = random_bytes(MIB)
    before = sectors_written(device)
    medium.write(data, 0)
    # Not flushed, and yet with the device.
    assert sectors_written(device) - before == MIB // 512
    medium.close()


def test_a_device_is_opened_once_only(device: Path) -> None:
    medium = open_medium(device)
    with pytest.raises(SlotError, match="busy") as caught:
        open_medium(device)
    assert "unmount" in (caught.value.hint or "")
    medium.close()
    open_medium(device).close()


def test_a_mounted_device_is_not_opened(tmp_path: Path) -> None:
    backing = tmp_path / "fs"
    backing.write_bytes(bytes(16 * MIB))
    make_file_system(backing)
    for device in loop_device(backing):
        (tmp_path / "point").mkdir()
        unmount = mounting(device, tmp_path / "point")
        try:
            with pytest.raises(SlotError, match="busy"):
                open_medium(device)
        finally:
            unmount()


def test_a_full_file_system_under_a_file_is_told_of(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    unmount = mounting("-t", "tmpfs", "-o", "size=2M", "none", tmp_path)
    try:
        slot = tmp_path / "slot"
        with slot.open("wb") as file:
            file.truncate(8 * MIB)
        with pytest.raises(SlotError, match="No space left") as caught:
            write(slot, random_bytes(4 * MIB))
        assert "full" in (caught.value.hint or "")
    finally:
        unmount()


def test_a_link_leads_to_the_device(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(OLD)
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", b"new")
    assert (tmp_path / "real").read_bytes() == b"new" + OLD[3:]
    assert (tmp_path / "link").is_symlink()


def test_what_cannot_be_a_slot_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(SlotError, match="neither a block device nor a UBI volume nor a file"):
            open_medium(path)


def test_a_slot_that_is_missing_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(SlotError, match=r"cannot open .*/none for writing: No such file") as caught:
        open_medium(tmp_path / "none")
    assert "configuration" in (caught.value.hint or "")
    assert not (tmp_path / "none").exists()


# --- where the page cache cannot be bypassed


def test_without_direct_io_the_content_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "slot"
    path.write_bytes(OLD)
    file = DirectFile(path, os.O_RDWR)
    file._stop_direct()  # what a file system that refuses it brings about
    data = memoryview(random_bytes(3 * MIB + 17))
    for start in range(0, len(data), MIB):
        file.write(data[start : start + MIB], start)
    file.sync()
    into = aligned(4 * MIB)
    assert file.read(into, 0) == 4 * MIB
    assert into[: len(data)] == data
    file.close()
    assert path.read_bytes() == bytes(data) + OLD[len(data) :]


def test_without_direct_io_little_is_ever_dirty(tmp_path: Path) -> None:
    backing = tmp_path / "large"
    with backing.open("wb") as hollow:
        hollow.truncate(2 * UNSYNCED)
    for device in loop_device(backing):
        file = DirectFile(device, os.O_RDWR)
        file._stop_direct()
        before = sectors_written(device)
        for start in range(0, UNSYNCED, MIB):
            file.write(memoryview(random_bytes(MIB)), start)
        assert sectors_written(device) - before == UNSYNCED // 512
        file.close()


def test_direct_io_that_is_refused_only_when_it_is_used_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "slot"
    path.write_bytes(OLD)
    file = DirectFile(path, os.O_RDWR)
    calls: list[bool] = []

    def refusing() -> int:
        calls.append(file.direct)
        if file.direct:
            raise OSError(errno.EINVAL, "Invalid argument")
        return 5

    file.direct = True
    assert file._try(refusing) == 5
    assert calls == [True, False]
    file.close()


# --- UBI; no test here had a real volume, only what the kernel's headers say of one


@pytest.mark.parametrize(
    ("name", "mode", "decision"),
    [
        ("ubi0_1", stat.S_IFCHR, True),
        ("ubi12_34", stat.S_IFCHR, True),
        ("ubi0", stat.S_IFCHR, False),
        ("ubi_ctrl", stat.S_IFCHR, False),
        ("ubi0_1", stat.S_IFBLK, False),
        ("ubi0_1", stat.S_IFREG, False),
        ("xubi0_1", stat.S_IFCHR, False),
        ("null", stat.S_IFCHR, False),
    ],
)
def test_a_volume_is_known_by_its_name_and_kind(name: str, mode: int, decision: bool) -> None:
    assert is_ubi_volume(name, mode | 0o600) is decision


@pytest.mark.parametrize(
    ("machine", "volume_update", "punch"),
    [
        ("x86_64", 0x40084F00, 0x4030582B),
        ("aarch64", 0x40084F00, 0x4030582B),
        ("armv7l", 0x40084F00, 0x4030582B),
        ("riscv64", 0x40084F00, 0x4030582B),
        ("mips", 0x80084F00, 0x8030582B),
        ("ppc", 0x80084F00, 0x8030582B),
    ],
)
def test_requests_have_the_numbers_of_the_kernel_headers(machine: str, volume_update: int, punch: int) -> None:
    assert write_ioctl("O", 0, 8, machine) == volume_update
    assert write_ioctl("X", 43, 48, machine) == punch
    assert BLKZEROOUT == 0x12 << 8 | 127


def test_the_size_is_announced_to_a_volume_before_its_first_byte(tmp_path: Path) -> None:
    volume = tmp_path / "ubi0_1"
    volume.touch()
    requests: list[tuple[int, int, int]] = []

    def ioctl(_: int, request: int, argument: bytes) -> Any:
        requests.append((request, *struct.unpack("=q", argument), volume.stat().st_size))

    image = random_bytes(MIB) + bytes(2 * MIB) + b"odd"
    with SlotWriter(UbiMedium(volume, ioctl=ioctl), len(image), name=volume, skip_identical=True) as writer:
        writer.write(image)
        assert writer.finish() == Written(written=len(image), zeroed=0, identical=0)
    assert requests == [(write_ioctl("O", 0, 8, os.uname().machine), len(image), 0)]
    assert volume.read_bytes() == image
