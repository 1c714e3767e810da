"""The block map holds what a device reads, and bmaptool agrees with it."""

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from disk_samples import DISK_TOOLS, MBR, UBOOT, build, call, layout, small_root, take
from image_samples import needs

from bistable.artifact.errors import RejectedError
from bistable.tools.disk import parse_layout
from bistable.tools.disk.outputs import decompress

pytestmark = [DISK_TOOLS, needs("bmaptool")]
MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_root(tmp_path / "root")


@pytest.mark.parametrize("text", [UBOOT, MBR], ids=["gpt", "mbr"])
def test_bmaptool_copies_the_same_disk(text: str, root: Path, tmp_path: Path) -> None:
    disk, copy = tmp_path / "disk.img", tmp_path / "copy.img"
    build(layout(text), root, disk, block_map=True)
    call("bmaptool", "copy", disk, copy)
    assert copy.read_bytes() == disk.read_bytes()


def test_bmaptool_finds_the_map_of_a_compressed_disk(root: Path, tmp_path: Path) -> None:
    build(layout(), root, tmp_path / "disk.img", block_map=True)
    build(layout(), root, tmp_path / "packed.img.zst", block_map=True)
    assert call("zstd", "-dc", "-o", tmp_path / "plain.img", tmp_path / "packed.img.zst") is not None
    assert (tmp_path / "plain.img").read_bytes() == (tmp_path / "disk.img").read_bytes()
    call("bmaptool", "copy", "--bmap", tmp_path / "packed.img.bmap", tmp_path / "packed.img.zst", tmp_path / "copy.img")
    assert (tmp_path / "copy.img").read_bytes() == (tmp_path / "disk.img").read_bytes()


def test_bmaptool_sees_a_byte_that_changed(root: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    built = build(layout(), root, disk, block_map=True)
    with disk.open("r+b") as file:
        file.seek(built.geometry.partition("data").start + 1100)
        file.write(b"?")
    assert "checksum mismatch" in call("bmaptool", "copy", disk, tmp_path / "copy.img", status=1)


@pytest.mark.parametrize("fill", ["both", "first"])
def test_a_card_that_was_full_of_something_else_becomes_sound(fill: str, root: Path, tmp_path: Path) -> None:
    disk, card = tmp_path / "disk.img", tmp_path / "card.img"
    built = build(layout(slots_fill=fill), root, disk, block_map=True)
    # bmaptool empties a file first, which it cannot do with a card; so this does what it does with a card.
    card.write_bytes(os.urandom(MIB) * (built.geometry.size // MIB))
    with disk.open("rb") as source, card.open("r+b") as target:
        for text in ET.parse(built.outputs.map_path).findall("BlockMap/Range"):
            first, _, last = (text.text or "").strip().partition("-")
            source.seek(int(first) * 4096)
            target.seek(int(first) * 4096)
            target.write(source.read((int(last or first) + 1 - int(first)) * 4096))
    assert card.read_bytes() != disk.read_bytes()
    for name in ("rootfs-a", "data") + (("rootfs-b",) if fill == "both" else ()):
        call("e2fsck", "-fn", take(card, built, name, tmp_path / name))
    assert (
        take(card, built, "boot-env", tmp_path / "copy").read_bytes()
        == take(disk, built, "boot-env", tmp_path / "environment").read_bytes()
    )
    call("fsck.fat", "-n", take(card, built, "boot", tmp_path / "boot"))
    if fill == "first":
        assert not any(take(card, built, "rootfs-b", tmp_path / "b").read_bytes()[:MIB])


def test_what_a_file_system_calls_free_is_left_out(root: Path, tmp_path: Path) -> None:
    built = build(layout(slots_size="256 MiB"), root, tmp_path / "disk.img", block_map=True)
    assert built.mapped is not None
    # What is mapped is mostly the journals, whose zeros count.
    assert built.mapped < 64 * MIB


def test_raw_content_is_in_the_map(root: Path, tmp_path: Path) -> None:
    (tmp_path / "spl.bin").write_bytes(os.urandom(10_000))
    (tmp_path / "raw.bin").write_bytes(os.urandom(2 * MIB))
    more = '[blobs]\nat = { "spl.bin" = "64 KiB" }\n[extra.raw]\nsize = "4 MiB"\ncontent = "raw.bin"\n'
    disk, copy = tmp_path / "disk.img", tmp_path / "copy.img"
    build(parse_layout((UBOOT + more).encode(), tmp_path), root, disk, block_map=True)
    call("bmaptool", "copy", disk, copy)
    assert copy.read_bytes() == disk.read_bytes()


def test_a_compressed_disk_that_is_cut_off_is_refused(root: Path, tmp_path: Path) -> None:
    packed = tmp_path / "disk.img.zst"
    build(layout(), root, packed)
    packed.write_bytes(packed.read_bytes()[:-20])
    with packed.open("rb") as source, (tmp_path / "out").open("wb") as target, pytest.raises(RejectedError):
        decompress(source, target, "disk.img.zst")
