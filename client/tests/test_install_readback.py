"""What is compared with the manifest is what the storage holds, not what the page cache remembers."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_slots import MIB, loop_device, random_bytes

from bistable.client.errors import AbortedError, SlotError
from bistable.client.install.readback import digest_of, digest_of_edges

CONTENT = random_bytes(4 * MIB + 4096, seed=3)
SIZES = [0, 1, 511, 512, 4095, 4096, 4097, MIB - 1, MIB, MIB + 1, 3 * MIB, 4 * MIB + 4095, 4 * MIB + 4096]


@pytest.fixture
def slot(tmp_path: Path) -> Path:
    path = tmp_path / "slot"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def device(slot: Path) -> Iterator[Path]:
    yield from loop_device(slot)


@pytest.mark.parametrize("size", SIZES)
def test_the_digest_is_over_exactly_the_image(slot: Path, size: int) -> None:
    assert digest_of(slot, size) == hashlib.sha256(CONTENT[:size]).hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_the_digest_of_a_block_device_too(device: Path, size: int) -> None:
    assert digest_of(device, size) == hashlib.sha256(CONTENT[:size]).hexdigest()


def test_a_stale_page_in_the_cache_does_not_deceive(device: Path, slot: Path) -> None:
    # As long as somebody has it open the kernel keeps the device's pages.
    with device.open("rb") as reader:
        assert reader.read() == CONTENT
        with slot.open("r+b") as file:
            file.seek(2 * MIB + 5)
            file.write(b"corrupted")
            os.fsync(file.fileno())
        reader.seek(0)
        assert reader.read() == CONTENT
        assert digest_of(device, len(CONTENT)) == hashlib.sha256(slot.read_bytes()).hexdigest()


def test_a_slot_that_is_shorter_than_the_image_is_refused(slot: Path) -> None:
    with pytest.raises(SlotError, match="it ends before byte"):
        digest_of(slot, len(CONTENT) + 1)


def test_a_slot_that_is_gone_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(SlotError, match=r"cannot read .*/none back: No such file"):
        digest_of(tmp_path / "none", 1)


def test_somebody_can_say_no_in_between(slot: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done > MIB:
            raise AbortedError("cannot go on: somebody said no")

    with pytest.raises(AbortedError):
        digest_of(slot, len(CONTENT), on_progress=stop)


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("at", [0, 1024, -1])
def test_the_edges_show_a_change_near_the_start_or_end(slot: Path, size: int, at: int) -> None:
    before = digest_of_edges(slot, size)
    changed = bytearray(CONTENT)
    position = at % size
    changed[position] ^= 1
    slot.write_bytes(changed)
    assert digest_of_edges(slot, size) != before
    slot.write_bytes(CONTENT)
    assert digest_of_edges(slot, size) == before


def test_the_edges_tell_sizes_apart(slot: Path) -> None:
    slot.write_bytes(bytes(len(CONTENT)))
    assert digest_of_edges(slot, 3 * MIB) != digest_of_edges(slot, 3 * MIB + 4096)
