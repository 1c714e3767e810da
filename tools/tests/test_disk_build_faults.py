"""Inputs that make no disk are refused by name, and what fails leaves nothing behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from disk_building import MIB, disk, root
from disk_samples import DISK_TOOLS, UBOOT, build, layout, leftovers

from bistable.artifact.errors import MachineError, RejectedError, RequestError
from bistable.artifact.image import ImageOptions, make_image
from bistable.tools.disk import parse_layout

__all__ = ["disk", "root"]

pytestmark = DISK_TOOLS


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
