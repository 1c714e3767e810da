"""Files that appear whole or not at all, and what is copied into them."""

import fcntl
import os
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from bistable.artifact import MachineError
from bistable.artifact.files import WRITE_OUT, rename, replacing, write_all
from bistable.artifact.rewrite.existing import copy_range

MIB = 1 << 20
BLOCK = 4096


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(random.Random(0).randbytes(3 * MIB + 77))
    return path


# --- writing


def test_what_was_written_in_pieces_and_filled_in_later_is_all_there(tmp_path: Path) -> None:
    pieces = [bytes([number]) * (MIB + number) for number in range(20)]
    with replacing(tmp_path / "file") as file:
        for piece in pieces:
            write_all(file, piece)
        file.seek(0)
        write_all(file, b"head")
    content = b"".join(pieces)
    assert (tmp_path / "file").read_bytes() == b"head" + content[4:]


def test_the_disk_starts_on_a_large_file_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _file, start, size, _how: started.append((start, start + size)))
    with replacing(tmp_path / "file") as file:
        for _ in range(3 * WRITE_OUT // MIB + 1):
            write_all(file, bytes(MIB))
    assert started == [(number * WRITE_OUT, (number + 1) * WRITE_OUT) for number in range(3)]


def test_a_system_that_will_not_start_early_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    with replacing(tmp_path / "file") as file:
        write_all(file, bytes(WRITE_OUT))
    assert (tmp_path / "file").stat().st_size == WRITE_OUT


def test_a_file_is_synced_under_its_name_too_as_fat_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    # FAT has no files without names.
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_RDWR)
    place = tmp_path / "file"
    for content in (b"first", b"second"):
        synced.clear()
        with replacing(place) as file:
            file.write(content)
        assert synced[0] != str(place)
        assert synced[1:] == [str(place), str(tmp_path)]


def test_a_renamed_file_is_synced_under_its_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    old, new = tmp_path / "bistable-b+3.conf", tmp_path / "bistable-b.conf"
    old.write_bytes(b"title b")
    new.write_bytes(b"what was there")
    rename(old, new)
    assert synced == [str(new), str(tmp_path)]
    assert (new.read_bytes(), old.exists()) == (b"title b", False)


# --- copying


@pytest.fixture(params=["copies", "shares"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stand for a file system that knows FICLONERANGE, or none; it shares whole blocks only, as the real ones do."""

    def share(target: int, number: int, wanted: bytes) -> int:
        if request.param == "copies":
            raise OSError(95, "Operation not supported")
        source, offset, size, place = map(int, struct.unpack("=qQQQ", wanted))
        assert number == 0x4020940D
        assert size > 0
        assert not any(value % BLOCK for value in (offset, size, place))
        return os.pwrite(target, os.pread(source, size, offset), place) - size

    monkeypatch.setattr(fcntl, "ioctl", share)
    return str(request.param)


def test_a_file_system_that_can_share_blocks_need_not_copy_them(
    source: Path, tmp_path: Path, file_system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    preadv = os.preadv

    def counted(file: int, buffers: Sequence[bytearray], place: int) -> int:
        read.append(preadv(file, buffers, place))
        return read[-1]

    monkeypatch.setattr(os, "preadv", counted)
    with source.open("rb", buffering=0) as old, replacing(tmp_path / "copy") as new:
        write_all(new, bytes(6656))
        copy_range(old, new, 6656, 2 * MIB)
    assert (sum(read) < 2 * BLOCK) == (file_system == "shares")


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5, MIB, 2 * MIB + 1], ids=str)
@pytest.mark.parametrize(
    ("offset", "place"),
    [(0, 0), (6656, 6656), (6656, 7680), (100, 100 + BLOCK), (BLOCK, 0), (1, BLOCK - 1)],
    ids=str,
)
@pytest.mark.usefixtures("file_system")
def test_a_copied_range_is_the_same_wherever_it_lies(
    source: Path, tmp_path: Path, size: int, offset: int, place: int
) -> None:
    with source.open("rb", buffering=0) as old, replacing(tmp_path / "copy") as new:
        write_all(new, b"h" * place)
        copy_range(old, new, offset, size)
        write_all(new, b"end")
    assert (tmp_path / "copy").read_bytes() == b"h" * place + source.read_bytes()[offset : offset + size] + b"end"


def copy_too_much(old: BinaryIO, target: Path) -> None:
    with replacing(target) as new:
        copy_range(old, new, 512, 4 * MIB)


def test_a_source_that_is_too_short_is_no_copy(source: Path, tmp_path: Path) -> None:
    with source.open("rb", buffering=0) as old, pytest.raises(MachineError, match="became shorter while it was read"):
        copy_too_much(old, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_source_that_cannot_be_read_is_what_the_message_is_about(source: Path, tmp_path: Path) -> None:
    with source.open("ab", buffering=0) as old, pytest.raises(MachineError, match="cannot read the payload: Bad file"):
        copy_too_much(old, tmp_path / "copy")
