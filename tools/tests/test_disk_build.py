"""Disk images are made without root, the same bytes every time, and the programs of the trade agree with them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from disk_samples import (
    DISK_TOOLS,
    EPOCH,
    GRUB,
    GRUB_TOOLS,
    MBR,
    UBOOT,
    build,
    call,
    in_image,
    layout,
    leftovers,
    small_root,
    table_of,
    take,
)
from image_samples import AS_ROOT, member, needs, write_tar

from bistable.artifact.errors import MachineError, RejectedError, RequestError
from bistable.artifact.image import ImageKind, ImageOptions, compare_images, make_image
from bistable.tools.disk import BuiltDisk, parse_layout

pytestmark = DISK_TOOLS
MIB = 1 << 20
LAYOUTS = [
    pytest.param(UBOOT, id="uboot-gpt"),
    pytest.param(MBR, id="uboot-mbr"),
    pytest.param(GRUB, id="grub-gpt", marks=GRUB_TOOLS),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_root(tmp_path / "root")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "disk.img"


# --- what is on the disk


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


# --- what it is made of


def test_directory_tar_and_image_give_the_same_slot(root: Path, disk: Path, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar.gz"
    call("tar", "-czf", archive, "--owner=0", "--group=0", "-C", root, ".")
    make_image(root, tmp_path / "root.ext4", ImageOptions(size=16 * MIB))
    slots = []
    for number, source in enumerate((root, archive, tmp_path / "root.ext4")):
        slots.append(tmp_path / f"slot-{number}")
        build(layout(), source, disk, slot_image=slots[-1])
        call("e2fsck", "-fn", slots[-1])
    assert compare_images(slots[0], slots[1]) == ()
    assert compare_images(slots[0], slots[2]) == ()


def test_the_kept_image_is_what_is_in_the_slots_and_makes_the_same_disk(root: Path, disk: Path, tmp_path: Path) -> None:
    kept, again = tmp_path / "kept.ext4", tmp_path / "again.img"
    built = build(layout(), root, disk, slot_image=kept)
    assert kept.read_bytes() == take(disk, built, "rootfs-b", tmp_path / "b").read_bytes()
    build(layout(), kept, again)
    assert again.read_bytes() == disk.read_bytes()


def test_owners_in_a_tar_are_kept(root: Path, disk: Path, tmp_path: Path) -> None:
    members = [
        (member("./boot/vmlinuz"), b"kernel"),
        (member("./boot/initrd.img"), b"initrd"),
        (member("./srv/mine", uid=1000, gid=1000), b"mine"),
    ]
    archive = write_tar(tmp_path / "root.tar", members)
    slot = take(disk, build(layout(), archive, disk), "rootfs-a", tmp_path / "slot")
    assert "User:  1000   Group:  1000" in call("debugfs", "-R", "stat /srv/mine", slot)


@needs("mksquashfs", "unsquashfs", "sqfstar")
def test_a_directory_becomes_a_squashfs_slot_with_all_that_it_needs(root: Path, disk: Path, tmp_path: Path) -> None:
    built = build(layout(slots_filesystem="squashfs"), root, disk, epoch=EPOCH)
    assert built.root.kind is ImageKind.SQUASHFS
    slot = take(disk, built, "rootfs-a", tmp_path / "slot")
    assert "backend" in call("unsquashfs", "-cat", slot, "etc/bistable/conf.d/40-boot.toml")


@needs("mksquashfs", "unsquashfs", "sqfstar")
def test_a_squashfs_image_must_have_in_it_what_cannot_be_added(root: Path, disk: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.squashfs"
    make_image(root, plain, ImageOptions(kind=ImageKind.SQUASHFS, epoch=EPOCH))
    with pytest.raises(RequestError, match=r"15-disk\.toml in it is missing") as caught:
        build(layout(), plain, disk)
    assert "data-dir" in (caught.value.hint or "")
    kept = tmp_path / "kept.squashfs"
    build(layout(slots_filesystem="squashfs"), root, disk, epoch=EPOCH, slot_image=kept)
    build(layout(), kept, tmp_path / "again.img", epoch=EPOCH)
    assert (tmp_path / "again.img").read_bytes() == disk.read_bytes()
    with pytest.raises(RequestError, match="is not what this disk needs"):
        build(layout(disk_seed="another"), kept, disk)


@needs("mkfs.erofs", "fsck.erofs", "fakeroot")
def test_an_erofs_image_is_looked_into_too(root: Path, disk: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.erofs"
    build(layout(slots_filesystem="erofs"), root, disk, epoch=EPOCH, slot_image=kept)
    build(layout(), kept, disk)
    (root / "etc/hostname").write_text("without")
    make_image(root, tmp_path / "plain.erofs", ImageOptions(kind=ImageKind.EROFS, epoch=EPOCH))
    with pytest.raises(RequestError, match=r"15-disk\.toml in it is missing"):
        build(layout(), tmp_path / "plain.erofs", disk)


@GRUB_TOOLS
def test_grub_gets_no_erofs_which_it_cannot_read(root: Path, disk: Path) -> None:
    with pytest.raises(RequestError, match="GRUB cannot read it"):
        build(layout(GRUB, slots_filesystem="erofs"), root, disk)


# --- the same every time


@pytest.mark.parametrize("text", LAYOUTS)
def test_the_same_input_gives_the_same_bytes(text: str, root: Path, disk: Path, tmp_path: Path) -> None:
    build(layout(text), root, disk, block_map=True)
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved / "root", symlinks=True)
    before = os.umask(0o077)
    try:
        build(layout(text), moved / "root", tmp_path / "again.img", block_map=True)
    finally:
        os.umask(before)
    assert (tmp_path / "again.img").read_bytes() == disk.read_bytes()
    assert (tmp_path / "again.img.bmap").read_bytes() == disk.with_name("disk.img.bmap").read_bytes()


def test_no_time_is_later_than_the_one_that_was_given(root: Path, disk: Path, tmp_path: Path) -> None:
    os.utime(root / "etc/os-release", (EPOCH + 100, EPOCH + 100))
    slot = take(disk, build(layout(), root, disk, epoch=EPOCH), "rootfs-a", tmp_path / "slot")
    assert f"mtime: {EPOCH:#x}" in call("debugfs", "-R", "stat /etc/os-release", slot)
    assert f"mtime: {EPOCH:#x}" in call("debugfs", "-R", "stat /etc/fw_env.config", slot)


AS_NOBODY = """
import ctypes, os, sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from disk_samples import build, layout
# What is imported late is imported now: the one who builds next may not read where it is.
build(layout(), Path(sys.argv[1]), Path(sys.argv[2]))
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
assert os.geteuid() == 65534
build(layout(), Path(sys.argv[1]), Path(sys.argv[3]))
"""


@AS_ROOT
def test_a_user_without_any_rights_makes_the_same_disk(root: Path, disk: Path, tmp_path: Path) -> None:
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == 0 and place != Path("/"):
            place.chmod(place.stat().st_mode | 0o055)
    mine = tmp_path / "mine"
    mine.mkdir()
    os.chown(mine, 65534, 65534)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, root, disk, mine / "disk.img", *sys.path],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert (mine / "disk.img").read_bytes() == disk.read_bytes()


# --- faults


@pytest.mark.parametrize(
    ("missing", "what"), [("boot/vmlinuz", "it has no /boot/vmlinuz"), ("boot/initrd.img", "names as its initrd")]
)
def test_a_slot_that_could_not_boot_is_refused(missing: str, what: str, root: Path, disk: Path) -> None:
    (root / missing).unlink()
    with pytest.raises(RequestError, match=what):
        build(layout(), root, disk)
    assert list(disk.parent.iterdir()) == []


def test_an_image_larger_than_a_slot_is_refused(root: Path, disk: Path, tmp_path: Path) -> None:
    make_image(root, tmp_path / "root.ext4", ImageOptions(size=17 * MIB))
    with pytest.raises(RequestError, match="an image of 17825792 bytes, and a slot has 16777216"):
        build(layout(), tmp_path / "root.ext4", disk)
    assert list(disk.parent.iterdir()) == []


def test_a_directory_that_does_not_fit_is_refused_with_the_size_that_would_do(root: Path, disk: Path) -> None:
    (root / "large").write_bytes(os.urandom(20 * MIB))
    with pytest.raises(RequestError, match="the content needs"):
        build(layout(), root, disk)
    assert list(disk.parent.iterdir()) == []


def test_a_damaged_image_is_refused(root: Path, disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "root.ext4"
    make_image(root, image, ImageOptions(size=16 * MIB))
    with image.open("r+b") as file:
        file.seek(1024 + 1024 * 3)
        file.write(os.urandom(4096))
    with pytest.raises(RejectedError):
        build(layout(), image, disk)
    assert list(disk.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"boot-partition.files": '{ "x" = "absent" }'}, "it is not there"),
        ({"data.files": "absent"}, "it is no directory"),
        ({"boot-partition.size": "1 MiB", "boot-partition.files": '{ "x" = "large" }'}, "it is full"),
    ],
)
def test_inputs_that_are_of_no_use_are_refused(
    settings: dict[str, str], what: str, root: Path, disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(os.urandom(MIB))
    with pytest.raises(RequestError, match=what):
        build(parse_layout(UBOOT.encode(), tmp_path, settings=settings), root, disk)
    assert list(disk.parent.iterdir()) == []


def test_what_is_no_root_file_system_is_refused(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(os.urandom(100_000))
    for source in (tmp_path / "noise", tmp_path / "absent"):
        with pytest.raises(RequestError, match="cannot read"):
            build(layout(), source, disk)


def test_a_missing_program_is_named_with_its_package(root: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = disk.parent / "bin"
    empty.mkdir()
    for name in ("mke2fs", "debugfs", "e2fsck"):
        program = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
        assert program is not None
        (empty / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr("bistable.artifact.run.SYSTEM_DIRECTORIES", ())
    with pytest.raises(MachineError, match="cannot run sfdisk: not found") as caught:
        build(layout(), root, disk)
    assert caught.value.hint == "install the package fdisk"
    assert [path.name for path in disk.parent.iterdir()] == ["bin"]


FULL = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30 << 20, 30 << 20))
sys.path[:0] = sys.argv[3:]
from bistable.artifact.errors import MachineError
from disk_samples import build, layout
try:
    build(layout(), Path(sys.argv[1]), Path(sys.argv[2]))
except MachineError as e:
    print(e.what)
"""


def test_a_disk_that_cannot_be_written_to_its_end_leaves_nothing(root: Path, disk: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, root, disk, *sys.path], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("cannot write")
    assert list(disk.parent.iterdir()) == []


def test_an_older_disk_stays_until_the_new_one_is_complete(root: Path, disk: Path) -> None:
    disk.write_text("old")
    (root / "boot/vmlinuz").unlink()
    with pytest.raises(RequestError):
        build(layout(), root, disk)
    assert disk.read_text() == "old"
    assert leftovers(disk.parent) == []


def test_a_file_that_would_be_written_twice_is_refused(root: Path, disk: Path) -> None:
    with pytest.raises(RequestError, match="to the same place"):
        build(layout(), root, disk, slot_image=disk)


def test_memory_does_not_grow_with_the_disk(root: Path, disk: Path) -> None:
    code = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from disk_samples import build, layout
build(layout(slots_size=SIZE), Path(sys.argv[1]), Path(sys.argv[2]), block_map=True)
# Not by getrusage: its peak is at least what the test runner had when it started this program.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    (root / "large").write_bytes(os.urandom(8 * MIB))

    def peak(size: str) -> int:
        command: list[str | Path] = [sys.executable, "-c", code.replace("SIZE", repr(size)), root, disk, *sys.path]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    small = peak("32 MiB")
    (root / "larger").write_bytes(os.urandom(64 * MIB))
    assert peak("128 MiB") < small + 24 * 1024


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
