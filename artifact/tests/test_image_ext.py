"""Files are read out of ext2, ext3 and ext4 images; what such an image claims is checked."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import EXT4_TOOLS, SBIN, call, make_rootfs

from bistable.artifact.errors import BistableError, RejectedError, RequestError, UnsupportedError
from bistable.artifact.image import Kind, list_directory, open_image, read_file, walk_image

pytestmark = EXT4_TOOLS

LAYOUTS = {
    "ext2": ["-t", "ext2"],
    "ext3": ["-t", "ext3"],
    "ext4": ["-t", "ext4"],
    "ext4 as mke2fs 1.47 makes it": ["-t", "ext4", "-O", "orphan_file,metadata_csum_seed,64bit"],
    "blocks of 1 KiB": ["-t", "ext4", "-b", "1024"],
    "blocks of 1 KiB without extents": ["-t", "ext2", "-b", "1024"],
    "inodes of 128 bytes": ["-t", "ext4", "-I", "128"],
    "blocks of 64 KiB": ["-t", "ext4", "-b", "65536"],
}


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = make_rootfs(tmp_path_factory.mktemp("rootfs"))
    # More than the twelve blocks that stand in an inode, and more than what one block of pointers holds.
    (top / "large").write_bytes(bytes(range(256)) * 4 * 1500)
    return top


def make(path: Path, options: list[str], rootfs: Path) -> Path:
    env = {**os.environ, "PATH": SBIN, "LC_ALL": "C"}
    command = ["mke2fs", "-q", "-F", *options, "-d", str(rootfs), str(path), "64M"]
    subprocess.run(command, check=True, capture_output=True, env=env)
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, rootfs: Path) -> Path:
    return make(tmp_path_factory.mktemp("image") / "image", ["-t", "ext4"], rootfs)


def content(image: Path, path: str) -> bytes:
    parts: list[bytes] = []
    read_file(image, path, parts.append)
    return b"".join(parts)


def paths_on_disk(top: Path) -> Iterator[str]:
    yield "/"
    yield from (f"/{path.relative_to(top)}" for path in top.rglob("*"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_file_comes_out_of_every_layout_as_it_went_in(layout: str, rootfs: Path, tmp_path: Path) -> None:
    image = make(tmp_path / "image", LAYOUTS[layout], rootfs)
    found = {entry.path: entry for entry in walk_image(image) if not entry.path.startswith("/lost+found")}
    assert set(found) == set(paths_on_disk(rootfs))
    with open_image(image) as volume:
        for path, entry in found.items():
            if path == "/":
                continue  # mke2fs sets its own mode and time
            real = rootfs / path[1:]
            status = real.lstat()
            assert entry.mode == status.st_mode & 0o7777, path
            assert (entry.uid, entry.gid, entry.mtime) == (status.st_uid, status.st_gid, int(status.st_mtime)), path
            assert entry.target == (str(real.readlink()) if real.is_symlink() else ""), path
            if entry.kind is Kind.FILE:
                assert b"".join(volume.chunks(entry)) == real.read_bytes(), path


def test_a_hashed_directory_is_read_as_any_other(rootfs: Path, tmp_path: Path) -> None:
    image = make(tmp_path / "image", ["-t", "ext4"], rootfs)
    before = [entry.name for entry in list_directory(image, "/many")]
    subprocess.run(["e2fsck", "-fyD", image], env={**os.environ, "PATH": SBIN}, capture_output=True, check=False)
    assert "Root node dump" in call("debugfs", "-R", "htree /many", image)
    assert [entry.name for entry in list_directory(image, "/many")] == before
    assert len(before) == 300


def test_devices_have_their_numbers(image: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image"
    copy.write_bytes(image.read_bytes())
    call("debugfs", "-w", "-R", "mknod old c 5 1", copy)
    call("debugfs", "-w", "-R", "mknod new b 259 65535", copy)
    found = {entry.name: entry for entry in list_directory(copy, "/")}
    assert (found["old"].kind, found["old"].device) == (Kind.CHARACTER_DEVICE, (5, 1))
    assert (found["new"].kind, found["new"].device) == (Kind.BLOCK_DEVICE, (259, 65535))


def test_attributes_in_an_inode_and_in_a_block_are_read(image: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image"
    copy.write_bytes(image.read_bytes())
    call("debugfs", "-w", "-R", "ea_set /empty user.short value", copy)
    call("debugfs", "-w", "-R", f"ea_set /empty security.long {'v' * 500}", copy)
    entry = next(entry for entry in list_directory(copy, "/") if entry.name == "empty")
    assert entry.attributes == (("security.long", b"v" * 500), ("user.short", b"value"))


def test_times_after_2038_are_read(image: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image"
    copy.write_bytes(image.read_bytes())
    call("debugfs", "-w", "-R", "sif /empty mtime @5000000000", copy)
    assert next(entry for entry in list_directory(copy, "/") if entry.name == "empty").mtime == 5_000_000_000


def test_a_huge_hole_costs_nothing_to_compare(image: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image"
    copy.write_bytes(image.read_bytes())
    call("debugfs", "-w", "-R", "sif /empty size 100000000000", copy)
    with open_image(copy) as volume:
        entry = volume.child(volume.root(), "empty")
        assert entry is not None
        pieces = {id(piece) for piece, _ in zip(volume.chunks(entry), range(50_000), strict=False)}
    assert len(pieces) == 1


# --- paths


def test_links_on_the_way_are_followed_as_a_shell_in_the_image_would(image: Path) -> None:
    assert content(image, "/bin/tool") == content(image, "/usr/bin/tool") == content(image, "etc/up")


def test_no_path_leads_out_of_the_image(image: Path) -> None:
    assert content(image, "/../../../../../etc/os-release").startswith(b"ID=demo")


def test_listing_a_file_gives_the_file(image: Path) -> None:
    assert [entry.path for entry in list_directory(image, "/bin/tool")] == ["/usr/bin/tool"]


@pytest.mark.parametrize("path", ["/nothing", "/usr/bin/tool/below", "/dangling", "/nothing/below"])
def test_a_missing_path_is_said_to_be_missing(path: str, image: Path) -> None:
    with pytest.raises(RequestError, match="cannot find"):
        list_directory(image, path)


def test_a_directory_cannot_be_read_as_a_file(image: Path) -> None:
    with pytest.raises(RequestError, match="it is a directory"):
        content(image, "/usr")


def test_links_in_circles_are_refused(image: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image"
    copy.write_bytes(image.read_bytes())
    call("debugfs", "-w", "-R", "symlink a b", copy)
    call("debugfs", "-w", "-R", "symlink b a", copy)
    with pytest.raises(RejectedError, match="circles"):
        content(copy, "/a/file")


# --- what is not believed


def test_an_image_whose_journal_was_not_written_back_is_refused(image: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image"
    copy.write_bytes(image.read_bytes())
    call("debugfs", "-w", "-R", "feature needs_recovery", copy)
    with pytest.raises(RejectedError, match="journal") as caught:
        list_directory(copy, "/")
    assert caught.value.hint is not None
    assert "e2fsck -fp" in caught.value.hint


@pytest.mark.parametrize("feature", ["inline_data", "encrypt"])
def test_a_feature_that_changes_the_layout_is_refused_by_name(feature: str, rootfs: Path, tmp_path: Path) -> None:
    image = make(tmp_path / "image", ["-t", "ext4", "-O", feature], rootfs)
    with pytest.raises(UnsupportedError, match=feature):
        list_directory(image, "/")


def test_other_kinds_of_data_are_refused(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(5000))
    with pytest.raises(UnsupportedError, match="unknown kind"):
        list_directory(tmp_path / "image", "/")


def test_a_directory_that_contains_itself_is_refused(image: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image"
    copy.write_bytes(image.read_bytes())
    call("debugfs", "-w", "-R", "ln / /usr/again", copy)
    with pytest.raises(RejectedError, match="twice"):
        list(walk_image(copy))


def test_an_image_that_is_cut_off_is_refused(image: Path, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(image.read_bytes()[:1_000_000])
    with pytest.raises(RejectedError):
        read_everything(tmp_path / "image")


def read_everything(image: Path) -> None:
    with open_image(image) as volume:
        for entry in walk_image(image):
            if entry.kind is Kind.FILE:
                # Damage can make a file huge; the start of it is enough.
                for _ in zip(range(64), volume.chunks(entry), strict=False):
                    pass


@pytest.fixture(scope="module")
def victim(image: Path) -> tuple[Path, list[int]]:
    """Return a copy to be damaged, and where it is not empty: inodes, directories and maps are at its beginning."""
    raw = image.read_bytes()
    path = image.parent / "victim"
    path.write_bytes(raw)
    return path, [at for at in range(0, 2_500_000, 64) if any(raw[at : at + 64])]


@settings(max_examples=100)
@given(st.data())
def test_damage_anywhere_gives_an_error_or_other_content_but_nothing_else(
    victim: tuple[Path, list[int]], data: st.DataObject
) -> None:
    path, busy = victim
    with path.open("r+b", buffering=0) as file:
        undo = []
        for _ in range(data.draw(st.integers(1, 20))):
            at = data.draw(st.sampled_from(busy)) + data.draw(st.integers(0, 63))
            undo.append((at, os.pread(file.fileno(), 1, at)))
            os.pwrite(file.fileno(), bytes([data.draw(st.integers(0, 255))]), at)
        with contextlib.suppress(BistableError):
            read_everything(path)
        for at, byte in reversed(undo):
            os.pwrite(file.fileno(), byte, at)
