"""Partition table, slots and boot partitions of a disk are what the programs of the trade read there."""

import re
from pathlib import Path

import pytest
from disk_building import LAYOUTS, MIB, disk, root
from disk_samples import DISK_TOOLS, GRUB, GRUB_TOOLS, MBR, UBOOT, build, call, in_image, layout, table_of, take
from image_samples import needs

from bistable.artifact.errors import MachineError, RequestError
from bistable.tools.disk import BuiltDisk, parse_layout

__all__ = ["disk", "root"]

pytestmark = DISK_TOOLS


@pytest.mark.parametrize("text", LAYOUTS)
def test_partition_table_and_file_systems_are_sound(text: str, root: Path, disk: Path, tmp_path: Path) -> None:
    built = build(layout(text), root, disk)
    assert "No errors detected" in call("sfdisk", "--verify", disk) or "Remaining" in call("sfdisk", "--verify", disk)
    found = table_of(disk)
    for partition in built.geometry.partitions:
        assert found[partition.number]["start"] * 512 == partition.start
        assert found[partition.number]["size"] * 512 == partition.size
    call("fsck.fat", "-n", take(disk, built, "boot", tmp_path / "boot"))
    for name in ("rootfs-a", "rootfs-b", "data"):
        call("e2fsck", "-fn", take(disk, built, name, tmp_path / name))


def test_a_gpt_has_the_names_by_which_the_device_finds_its_partitions(root: Path, disk: Path) -> None:
    build(layout(), root, disk)
    assert [item["name"] for item in table_of(disk).values()] == ["boot", "boot-env", "rootfs-a", "rootfs-b", "data"]


def test_an_mbr_keeps_what_it_has_no_room_for_in_an_extended_partition(root: Path, disk: Path) -> None:
    build(layout(MBR), root, disk)
    assert {number: item["type"] for number, item in table_of(disk).items()} == {
        1: "c",
        2: "da",
        3: "83",
        4: "f",
        5: "83",
        6: "83",
    }


def test_both_slots_hold_the_system_and_how_it_finds_its_disk(root: Path, disk: Path, tmp_path: Path) -> None:
    built = build(layout(), root, disk)
    slots = [take(disk, built, name, tmp_path / name) for name in ("rootfs-a", "rootfs-b")]
    assert slots[0].read_bytes() == slots[1].read_bytes()
    assert in_image(slots[0], "/lib/tool") == "tool"
    assert "/dev/disk/by-partuuid/" in in_image(slots[0], "/etc/bistable/conf.d/40-boot.toml")
    assert 'data-dir = "/data/bistable"' in in_image(slots[0], "/etc/bistable/conf.d/15-disk.toml")
    data = built.geometry.partition("data").uuid
    assert in_image(slots[0], "/etc/fstab").splitlines() == [
        "proc /proc proc defaults 0 0",
        f"PARTUUID={data} /data ext4 defaults,noatime 0 2",
    ]
    assert 'Fast link dest: "/data/bistable"' in call("debugfs", "-R", "stat /var/lib/bistable", slots[0])


def test_systemd_waits_longer_for_the_data_partition(root: Path, disk: Path, tmp_path: Path) -> None:
    (root / "usr/lib/systemd").mkdir()
    (root / "usr/lib/systemd/systemd").write_text("systemd")
    slot = take(disk, build(layout(), root, disk), "rootfs-a", tmp_path / "slot")
    assert in_image(slot, "/etc/fstab").splitlines()[-1].split()[3] == "defaults,noatime,x-systemd.device-timeout=10min"


def test_the_second_slot_may_be_left_empty(root: Path, disk: Path, tmp_path: Path) -> None:
    built = build(layout(slots_fill="first"), root, disk)
    assert not any(take(disk, built, "rootfs-b", tmp_path / "b").read_bytes())


def test_the_data_partition_holds_the_device_type_for_root_alone(root: Path, disk: Path, tmp_path: Path) -> None:
    data = take(disk, build(layout(), root, disk), "data", tmp_path / "data")
    assert in_image(data, "/bistable/device_type") == "device_type=test-board\n"
    assert "Mode:  0700" in call("debugfs", "-R", "stat /bistable", data)


def test_the_data_partition_can_begin_with_files(root: Path, disk: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "app").mkdir(parents=True)
    (tmp_path / "data" / "app" / "config").write_text("x")
    built = build(parse_layout(UBOOT.encode(), tmp_path, settings={"data.files": "data"}), root, disk)
    data = take(disk, built, "data", tmp_path / "data.img")
    assert in_image(data, "/app/config") == "x"
    assert in_image(data, "/bistable/device_type")


def test_the_boot_partition_holds_what_the_layout_adds(root: Path, disk: Path, tmp_path: Path) -> None:
    (tmp_path / "firmware" / "overlays").mkdir(parents=True)
    (tmp_path / "firmware" / "overlays" / "one.dtbo").write_text("overlay")
    (tmp_path / "config.txt").write_text("config")
    more = {"boot-partition.files": '{ "config.txt" = "config.txt", "fw" = "firmware" }'}
    built = build(parse_layout(UBOOT.encode(), tmp_path, settings=more), root, disk)
    place = f"{disk}@@{built.geometry.partition('boot').start}"
    assert call("mtype", "-i", place, "::config.txt") == "config"
    assert call("mtype", "-i", place, "::fw/overlays/one.dtbo") == "overlay"


@needs("fw_printenv")
def test_fw_printenv_reads_the_environment_where_the_system_is_told_that_it_is(
    root: Path, disk: Path, tmp_path: Path
) -> None:
    built = build(layout(), root, disk)
    slot = take(disk, built, "rootfs-a", tmp_path / "slot")
    environment = take(disk, built, "boot-env", tmp_path / "environment")
    config = tmp_path / "fw_env.config"
    config.write_text(in_image(slot, "/etc/fw_env.config").replace("/dev/disk/by-partlabel/boot-env", str(environment)))
    found = dict(line.split("=", 1) for line in call("fw_printenv", "-c", config).splitlines())
    assert found["bistable_order"] == "a"
    assert found["bistable_a_good"] == "1"


@GRUB_TOOLS
@needs("grub-editenv")
def test_grub_editenv_reads_both_environments(root: Path, disk: Path, tmp_path: Path) -> None:
    built = build(layout(GRUB), root, disk)
    environment = take(disk, built, "boot-env", tmp_path / "environment").read_bytes()
    assert built.plan.environment is not None
    for offset in built.plan.environment.offsets:
        copy = tmp_path / f"copy-{offset}"
        copy.write_bytes(environment[offset : offset + 1024])
        assert "bistable_order=a" in call("grub-editenv", copy, "list").splitlines()


def test_files_in_front_of_the_partitions_are_where_they_should_be(root: Path, disk: Path, tmp_path: Path) -> None:
    (tmp_path / "spl.bin").write_bytes(b"SPL" * 1000)
    wanted = parse_layout((UBOOT + '[blobs]\nat = { "spl.bin" = "32 KiB" }\n').encode(), tmp_path)
    build(wanted, root, disk)
    assert disk.read_bytes()[32768 : 32768 + 3000] == b"SPL" * 1000


KEPT_FREE = UBOOT + '[blobs]\nat = { "spl.bin" = "32 KiB", "u-boot.bin" = "64 KiB" }\nend = "1 MiB"\n'


def test_files_that_fit_before_the_next_and_before_the_end_move_no_partition(
    root: Path, disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "spl.bin").write_bytes(b"S" * (32 << 10))
    (tmp_path / "u-boot.bin").write_bytes(b"U" * (960 << 10))
    built = build(parse_layout(KEPT_FREE.encode(), tmp_path), root, disk)
    assert built.geometry.partition("boot").start == 1 << 20
    assert disk.read_bytes()[32 << 10 : 1 << 20] == b"S" * (32 << 10) + b"U" * (960 << 10)


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ({"spl.bin": (32 << 10) + 1, "u-boot.bin": 1}, "spl.bin reaches to 65537"),
        ({"spl.bin": 1, "u-boot.bin": (960 << 10) + 1}, "it reaches to 1048577, and [blobs] end is 1048576"),
        ({"spl.bin": 1}, "u-boot.bin: No such file or directory"),
    ],
)
def test_files_that_are_not_there_or_too_large_for_their_places_are_refused(
    root: Path, disk: Path, tmp_path: Path, sizes: dict[str, int], why: str
) -> None:
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(bytes(size))
    with pytest.raises(RequestError, match=re.escape(why)):
        build(parse_layout(KEPT_FREE.encode(), tmp_path), root, disk)
    assert not disk.exists()


def test_more_partitions_hold_a_file_system_or_an_image(root: Path, disk: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "first").write_text("log")
    (tmp_path / "calibration.bin").write_bytes(b"numbers")
    more = """
[extra.logs]
size = "8 MiB"
filesystem = "ext4"
content = "logs"
[extra.share]
size = "2 MiB"
filesystem = "fat"
content = "logs"
[extra.calibration]
size = "4 KiB"
content = "calibration.bin"
"""
    built = build(parse_layout((UBOOT + more).encode(), tmp_path), root, disk)
    logs = take(disk, built, "logs", tmp_path / "logs.img")
    call("e2fsck", "-fn", logs)
    assert in_image(logs, "/first") == "log"
    assert call("mtype", "-i", take(disk, built, "share", tmp_path / "share.img"), "::first") == "log"
    assert take(disk, built, "calibration", tmp_path / "raw").read_bytes().startswith(b"numbers\0")


def test_a_disk_is_sparse(root: Path, disk: Path) -> None:
    built: BuiltDisk = build(layout(slots_size="1 GiB"), root, disk)
    assert disk.stat().st_size > 2 << 30
    assert built.stored < 16 * MIB


# --- boot loaders that read kernels from FAT


def with_loader(loader: str, *, table: str = "gpt", size: str = "8 MiB") -> str:
    text = GRUB.replace('"grub"', f'"{loader}"').replace('size = "4 MiB"', f'size = "{size}"')
    return text + f'[disk]\ntable = "{table}"\n'


@GRUB_TOOLS
@pytest.mark.parametrize("loader", ["systemd-boot", "efi"])
def test_the_kernel_of_the_first_slot_is_where_the_firmware_reads_it(
    loader: str, root: Path, disk: Path, tmp_path: Path
) -> None:
    try:
        built = build(layout(with_loader(loader)), root, disk)
    except MachineError as e:
        pytest.skip(e.what)
    boot = f"{disk}@@{built.geometry.partition('boot').start}"
    assert call("mtype", "-i", boot, "::EFI/bistable/a/linux.efi") == "kernel"
    assert call("mtype", "-i", boot, "::EFI/bistable/a/initrd.img") == "initrd"
    slot = take(disk, built, "rootfs-a", tmp_path / "slot")
    uuid = built.geometry.partition("boot").uuid
    assert f"PARTUUID={uuid} /boot/efi vfat nofail,umask=0077 0 2" in in_image(slot, "/etc/fstab").splitlines()
    assert "boot-env" not in [partition.name for partition in built.geometry.partitions]


@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_on_a_raspberry_pi_each_slot_has_a_boot_partition(table: str, root: Path, disk: Path, tmp_path: Path) -> None:
    (tmp_path / "config.txt").write_text("arm_boost=1\n")
    (tmp_path / "start4.elf").write_text("firmware")
    text = with_loader("raspberry-pi", table=table).replace("amd64", "arm64")
    more = {"boot-partition.files": '{ "config.txt" = "config.txt", "start4.elf" = "start4.elf" }'}
    built = build(parse_layout(text.encode(), tmp_path, settings=more), root, disk)
    autoboot = f"{disk}@@{built.geometry.partition('boot').start}"
    assert f"boot_partition={built.geometry.partition('boot-a').number}" in call(
        "mtype", "-i", autoboot, "::autoboot.txt"
    )
    for slot in ("a", "b"):
        boot = take(disk, built, f"boot-{slot}", tmp_path / slot)
        call("fsck.fat", "-n", boot)
        assert call("mtype", "-i", boot, "::vmlinuz") == "kernel"
        assert call("mtype", "-i", boot, "::initrd.img") == "initrd"
        assert call("mtype", "-i", boot, "::start4.elf") == "firmware"
        assert call("mtype", "-i", boot, "::config.txt").splitlines()[:3] == ["arm_boost=1", "", "[all]"]
        root_of = f"root=PARTUUID={built.geometry.partition(f'rootfs-{slot}').uuid}"
        assert root_of in call("mtype", "-i", boot, "::cmdline.txt").split()
