"""A directory, an archive and an image make the same disk every time, without root and in little memory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from disk_building import LAYOUTS, MIB, disk, root
from disk_samples import DISK_TOOLS, EPOCH, GRUB, GRUB_TOOLS, build, call, layout, take
from image_samples import AS_ROOT, member, needs, write_tar

from bistable.artifact.errors import RequestError
from bistable.artifact.image import ImageKind, ImageOptions, compare_images, make_image

__all__ = ["disk", "root"]

pytestmark = DISK_TOOLS


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


# --- what it takes


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
