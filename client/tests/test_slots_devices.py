"""Devices: what they are called, where they are mounted and how large they are."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_slots import loop_device

from bistable.client.errors import SlotError
from bistable.client.slots import identify, mounted_at, read_mounts, size_of
from bistable.client.slots.devices import Mount, parse_mounts

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 179:2 / / rw,relatime shared:1 - ext4 /dev/root rw
40 27 0:35 / /srv rw master:1 shared:2 - ubifs ubi0:srv rw
41 27 179:9 / /media/my\040disk rw - ext4 /dev/mmcblk0p9 rw
not a line of that kind
42 27 0:50 / /empty rw - tmpfs
"""


@pytest.fixture
def block_device(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "content").write_bytes(bytes(1024 * 1024))
    yield from loop_device(tmp_path / "content")


def test_a_line_of_mountinfo_is_taken_apart() -> None:
    assert parse_mounts(MOUNTINFO) == (
        Mount(identity="0:21", point=Path("/proc"), source="proc"),
        Mount(identity="179:2", point=Path("/"), source="/dev/root"),
        Mount(identity="0:35", point=Path("/srv"), source="ubi0:srv"),
        Mount(identity="179:9", point=Path("/media/my disk"), source="/dev/mmcblk0p9"),
    )


def test_what_is_mounted_here_is_seen() -> None:
    assert Path("/proc") in {mount.point for mount in read_mounts()}


def test_mounts_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SlotError, match="cannot see what is mounted"):
        read_mounts(tmp_path / "none")


# --- identities


def test_a_device_is_the_same_by_all_its_names(block_device: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(block_device)
    number = block_device.stat().st_rdev
    assert identify(str(block_device)) == f"{os.major(number)}:{os.minor(number)}"
    assert identify(str(tmp_path / "link")) == identify(str(block_device))


def test_a_file_is_a_device_by_itself(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("a")
    assert identify(str(tmp_path / "a")) == identify(str(tmp_path / "link"))
    assert identify(str(tmp_path / "a")) != identify(str(tmp_path / "b"))


@pytest.mark.parametrize(
    "name", ["/dev/no-such-device", "proc", "overlay", "", "PARTUUID=none", "x\0", "/x\0", "/proc"]
)
def test_what_is_no_device_has_no_identity(name: str) -> None:
    assert identify(name) is None


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("PARTUUID=B3C4F349-02", "by-partuuid/b3c4f349-02"),
        ("PARTUUID=b3c4f349-02", "by-partuuid/b3c4f349-02"),
        ("UUID=6C1D-A0FF", "by-uuid/6C1D-A0FF"),
        ('LABEL="root fs"', "by-label/root\\x20fs"),
        ("LABEL=a/b", "by-label/a\\x2fb"),
        ("PARTLABEL=rootfs-a", "by-partlabel/rootfs-a"),
        ("PARTLABEL=größe", "by-partlabel/größe"),
    ],
)
def test_tags_are_looked_up_where_udev_keeps_them(name: str, link: str, tmp_path: Path) -> None:
    directory, _, file = link.partition("/")
    (tmp_path / "disk" / directory).mkdir(parents=True)
    (tmp_path / "target").touch()
    (tmp_path / "disk" / directory / file).symlink_to(tmp_path / "target")
    assert identify(name, devices=tmp_path) == identify(str(tmp_path / "target"))


@pytest.mark.parametrize("name", ["ubi0_1", "/dev/ubi0_1", "ubi0:rootfs-b"])
def test_ubi_volumes_are_found_by_number_and_by_name(name: str, tmp_path: Path) -> None:
    for number, volume in enumerate(("rootfs-a", "rootfs-b")):
        (tmp_path / "class" / "ubi" / f"ubi0_{number}").mkdir(parents=True)
        (tmp_path / "class" / "ubi" / f"ubi0_{number}" / "name").write_text(f"{volume}\n")
        (tmp_path / f"ubi0_{number}").touch()
    found = identify(name, devices=tmp_path, sysfs=tmp_path)
    assert found == identify(str(tmp_path / "ubi0_1"))
    assert identify("ubi0:rootfs-c", devices=tmp_path, sysfs=tmp_path) is None


# --- mounts


def test_a_device_is_found_where_it_is_mounted(block_device: Path) -> None:
    identity = identify(str(block_device))
    assert identity is not None
    mounts = [
        Mount(identity="179:2", point=Path("/"), source="/dev/root"),
        Mount(identity=identity, point=Path("/mnt"), source="/dev/other-name"),
    ]
    assert mounted_at(block_device, mounts) == Path("/mnt")
    assert mounted_at(block_device, mounts[:1]) is None


def test_a_device_is_found_by_its_name_where_the_number_is_of_none(block_device: Path) -> None:
    mounts = [Mount(identity="0:44", point=Path("/data"), source=str(block_device))]
    assert mounted_at(block_device, mounts) == Path("/data")


def test_a_device_that_is_not_there_is_not_mounted() -> None:
    assert mounted_at(Path("/dev/no-such-device"), [Mount(identity="1:1", point=Path("/"), source="none")]) is None


def test_a_real_mount_is_seen(block_device: Path, tmp_path: Path) -> None:
    subprocess.run(["mke2fs", "-q", block_device], check=True, timeout=60)
    point = tmp_path / "point"
    point.mkdir()
    if subprocess.run(["mount", block_device, point], check=False, timeout=60).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        assert mounted_at(block_device) == point
    finally:
        subprocess.run(["umount", point], check=True, timeout=60)
    assert mounted_at(block_device) is None


# --- sizes


def test_a_block_device_has_its_size(block_device: Path) -> None:
    assert size_of(block_device) == 1024 * 1024


def test_a_file_has_its_size(tmp_path: Path) -> None:
    (tmp_path / "slot").write_bytes(bytes(12345))
    assert size_of(tmp_path / "slot") == 12345


def test_the_kernel_tells_the_size_of_a_ubi_volume(tmp_path: Path) -> None:
    number = Path("/dev/null").stat().st_rdev
    directory = tmp_path / "dev" / "char" / f"{os.major(number)}:{os.minor(number)}"
    directory.mkdir(parents=True)
    (directory / "data_bytes").write_text("61440000\n")
    assert size_of(Path("/dev/null"), sysfs=tmp_path) == 61440000


def test_another_character_device_is_refused() -> None:
    with pytest.raises(SlotError, match="no UBI volume"):
        size_of(Path("/dev/null"))


def test_what_is_not_there_has_no_size(tmp_path: Path) -> None:
    with pytest.raises(SlotError, match="No such file") as caught:
        size_of(tmp_path / "none")
    assert caught.value.hint == "check the slots' devices in the configuration"


def test_a_directory_is_no_slot(tmp_path: Path) -> None:
    with pytest.raises(SlotError, match="neither a block device, a UBI volume nor a file"):
        size_of(tmp_path)
