"""Files are read out of squashfs images through unsquashfs."""

import os
from pathlib import Path

import pytest
from image_samples import call, make_rootfs, needs

from bistable.artifact.errors import MachineError, RequestError, UnsupportedError
from bistable.artifact.image import Entry, Kind, list_directory, read_file, walk_image
from bistable.artifact.image.squash import _parse

pytestmark = needs("mksquashfs", "unsquashfs")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("squash")
    (top / "rootfs").mkdir()
    make_rootfs(top / "rootfs")
    (top / "rootfs/a -> b").symlink_to("c -> d")
    (top / "rootfs/large").write_bytes(b"0123456789abcdef" * 200_000)
    call("mksquashfs", top / "rootfs", top / "image? with -odd name", "-quiet", "-no-progress", "-all-root")
    return top / "image? with -odd name"


def content(image: Path, path: str) -> bytes:
    parts: list[bytes] = []
    read_file(image, path, parts.append)
    return b"".join(parts)


def test_links_are_followed_and_content_comes_out(image: Path) -> None:
    assert content(image, "/bin/tool") == content(image, "/etc/up") == b"#!/bin/sh\n"
    assert content(image, "/large") == b"0123456789abcdef" * 200_000
    assert content(image, "/sparse") == b"start" + bytes(5_000_000 - 5) + b"end"


def test_odd_names_are_names(image: Path) -> None:
    for entry in list_directory(image, "/odd"):
        assert content(image, entry.path) == entry.name.encode()


def test_an_arrow_may_be_part_of_a_name_and_of_a_target(image: Path) -> None:
    found = {entry.name: entry for entry in list_directory(image, "/")}
    assert found["a -> b"].target == "c -> d"


def test_modes_and_kinds_are_told(image: Path) -> None:
    found = {entry.path: entry for entry in walk_image(image)}
    assert found["/usr/bin/su"].mode == 0o4755
    assert found["/pipe"].kind is Kind.PIPE
    assert found["/empty-directory"].kind is Kind.DIRECTORY
    assert found["/long"].target == "l" * 100


def test_a_missing_path_is_said_to_be_missing(image: Path) -> None:
    with pytest.raises(RequestError, match="cannot find"):
        list_directory(image, "/nothing")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make devices")
def test_devices_have_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    os.mknod(tmp_path / "top/old", 0o020600, os.makedev(5, 1))
    os.mknod(tmp_path / "top/new", 0o060600, os.makedev(259, 70_000))
    call("mksquashfs", tmp_path / "top", tmp_path / "image", "-quiet", "-no-progress")
    found = {entry.name: (entry.kind, entry.device) for entry in list_directory(tmp_path / "image", "/")}
    assert found == {"old": (Kind.CHARACTER_DEVICE, (5, 1)), "new": (Kind.BLOCK_DEVICE, (259, 70_000))}


def test_a_name_with_a_line_break_is_refused_not_misread(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top/a\nb").write_bytes(b"")
    call("mksquashfs", tmp_path / "top", tmp_path / "image", "-quiet", "-no-progress")
    with pytest.raises(UnsupportedError, match="line break"):
        list_directory(tmp_path / "image", "/")


def test_a_damaged_image_is_an_error(image: Path, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(image.read_bytes()[:3000])
    with pytest.raises(MachineError):
        list_directory(tmp_path / "image", "/")


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("-rwsr-Sr-T 0/0 1 2024-02-29 23:59 squashfs-root/x", 0o7744),
        ("drwxrwxrwt 0/0 1 2024-02-29 23:59 squashfs-root/x", 0o1777),
        ("---------- 0/0 1 2024-02-29 23:59 squashfs-root/x", 0),
    ],
)
def test_every_letter_of_a_mode_counts(line: str, mode: int) -> None:
    entry = _parse(line)
    assert isinstance(entry, Entry)
    assert entry.mode == mode
    assert entry.mtime == 1_709_251_140
