"""The kind of an image is told by its first bytes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_samples import EXT4_TOOLS, call, needs

from bistable.artifact.image import PREFIX_SIZE, ImageKind, identify


@EXT4_TOOLS
@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_every_generation_of_ext_is_told_apart(kind: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    call("mke2fs", "-q", "-F", "-t", kind, image, "8M")
    assert identify(image.read_bytes()[:PREFIX_SIZE]) == kind


@EXT4_TOOLS
@pytest.mark.parametrize("size", ["4M", "64M"])
def test_the_size_of_blocks_makes_no_difference(size: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    call("mke2fs", "-q", "-F", "-t", "ext4", image, size)
    assert identify(image.read_bytes()[:PREFIX_SIZE]) is ImageKind.EXT4


@needs("mksquashfs")
def test_squashfs_is_known(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    call("mksquashfs", tmp_path / "source", tmp_path / "image", "-quiet", "-no-progress")
    assert identify((tmp_path / "image").read_bytes()[:PREFIX_SIZE]) is ImageKind.SQUASHFS


@needs("mkfs.erofs")
def test_erofs_is_known(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    call("mkfs.erofs", tmp_path / "image", tmp_path / "source")
    assert identify((tmp_path / "image").read_bytes()[:PREFIX_SIZE]) is ImageKind.EROFS


@pytest.mark.parametrize(("at", "mark"), [(54, b"FAT12"), (54, b"FAT16"), (82, b"FAT32")])
def test_fat_is_known_by_its_name_and_its_end_mark(at: int, mark: bytes) -> None:
    sector = bytearray(512)
    sector[at : at + 5] = mark
    assert identify(bytes(sector)) is ImageKind.UNKNOWN
    sector[510:] = b"\x55\xaa"
    assert identify(bytes(sector)) is ImageKind.VFAT


def test_ubifs_is_known_by_its_superblock_node() -> None:
    node = bytearray(PREFIX_SIZE)
    node[:4] = b"\x31\x18\x10\x06"
    assert identify(bytes(node)) is ImageKind.UNKNOWN
    node[20] = 6
    assert identify(bytes(node)) is ImageKind.UBIFS


@given(st.binary(max_size=PREFIX_SIZE))
def test_any_bytes_have_a_kind(data: bytes) -> None:
    assert identify(data) in ImageKind
