"""Two images are compared file by file."""

import os
import shutil
from pathlib import Path

import pytest
from image_samples import EXT4_TOOLS, call, needs

from bistable.artifact.errors import UnsupportedError
from bistable.artifact.image import Change, ImageKind, ImageOptions, compare_images, make_image

pytestmark = EXT4_TOOLS


def make(top: Path, name: str, kind: ImageKind = ImageKind.EXT4) -> Path:
    return make_image(top, top.parent / name, ImageOptions(kind=kind)).path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "dir").mkdir(parents=True)
    (top / "dir/file").write_bytes(b"content")
    (top / "dir.d").write_bytes(b"sorts between dir and dir/file as a string")
    (top / "large").write_bytes(os.urandom(3 << 20))
    (top / "link").symlink_to("dir/file")
    return top


def differences(old: Path, new: Path) -> list[tuple[str, tuple[Change, ...]]]:
    return [(change.path, change.changes) for change in compare_images(old, new)]


def test_an_image_is_equal_to_itself(top: Path) -> None:
    assert differences(make(top, "old"), make(top, "new")) == []


def test_times_alone_make_no_difference(top: Path) -> None:
    old = make(top, "old")
    os.utime(top / "dir/file", (1, 1))
    assert differences(old, make(top, "new")) == []


def test_added_and_removed_paths_are_told_in_order(top: Path) -> None:
    old = make(top, "old")
    shutil.rmtree(top / "dir")
    (top / "a").write_bytes(b"")
    (top / "z").mkdir()
    assert differences(old, make(top, "new")) == [
        ("/a", (Change.ADDED,)),
        ("/dir", (Change.REMOVED,)),
        ("/dir/file", (Change.REMOVED,)),
        ("/z", (Change.ADDED,)),
    ]


def test_a_change_of_one_byte_in_a_file_of_the_same_size_is_found(top: Path) -> None:
    old = make(top, "old")
    with (top / "large").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    assert differences(old, make(top, "new")) == [("/large", (Change.CONTENT,))]


def test_zeros_and_a_hole_are_the_same_content(top: Path, tmp_path: Path) -> None:
    os.truncate(top / "large", 3 << 20)
    (top / "large").write_bytes(bytes(3 << 20))
    image = make(top, "old")
    copy = Path(shutil.copy(image, tmp_path / "copy"))
    call("debugfs", "-w", "-R", "rm /large", copy)
    call("debugfs", "-w", "-R", f'write "{top / "large"}" /large', copy)
    call("debugfs", "-w", "-R", "fallocate /large 0 767", copy)
    assert differences(image, copy) == []


def test_every_way_to_differ_has_its_name(top: Path) -> None:
    old = make(top, "old")
    (top / "link").unlink()
    (top / "link").symlink_to("elsewhere")
    (top / "dir/file").write_bytes(b"other content")
    (top / "dir/file").chmod(0o4755)
    (top / "dir.d").unlink()
    (top / "dir.d").mkdir()
    assert differences(old, make(top, "new")) == [
        ("/dir/file", (Change.CONTENT, Change.MODE)),
        ("/dir.d", (Change.KIND, Change.MODE)),
        ("/link", (Change.TARGET,)),
    ]


def test_owners_devices_and_attributes_differ_too(top: Path, tmp_path: Path) -> None:
    old = make(top, "old")
    call("debugfs", "-w", "-R", "mknod device c 5 1", old)
    new = Path(shutil.copy(old, tmp_path / "new"))
    call("debugfs", "-w", "-R", "sif /dir.d uid 7", new)
    call("debugfs", "-w", "-R", "ea_set /dir/file security.capability x", new)
    call("debugfs", "-w", "-R", "rm device", new)
    call("debugfs", "-w", "-R", "mknod device c 5 2", new)
    assert differences(old, new) == [
        ("/device", (Change.DEVICE,)),
        ("/dir/file", (Change.ATTRIBUTES,)),
        ("/dir.d", (Change.OWNER,)),
    ]


@needs("sqfstar", "unsquashfs")
def test_an_ext4_and_a_squashfs_image_of_the_same_tree_hold_the_same_files(top: Path) -> None:
    found = differences(make(top, "old"), make(top, "new", ImageKind.SQUASHFS))
    assert found == [("/lost+found", (Change.REMOVED,))]


def test_an_image_that_cannot_be_read_cannot_be_compared(top: Path, tmp_path: Path) -> None:
    (tmp_path / "strange").write_bytes(bytes(4096))
    with pytest.raises(UnsupportedError):
        compare_images(make(top, "old"), tmp_path / "strange")
