"""Images arrive in a slot byte for byte, whatever was there, and with as little writing as possible."""

import errno
from pathlib import Path

import pytest
from client_slots import MIB, FakeMedium, random_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from bistable.client.errors import SlotError
from bistable.client.install.medium import Medium, open_medium
from bistable.client.install.writer import BLOCK, ZERO_RUN, SlotWriter, Written

NAME = Path("/dev/slot")
OLD = random_bytes(6 * MIB, seed=9)

EDGES = [0, 1, 511, 512, 4095, 4096, 4097, MIB - 1, MIB, MIB + 1, 2 * MIB]
SEGMENTS = st.lists(
    st.tuples(st.sampled_from(["random", "zeros", "old"]), st.sampled_from(EDGES) | st.integers(1, 2 * MIB)),
    min_size=1,
    max_size=5,
)


def image_of(segments: list[tuple[str, int]]) -> bytes:
    image = b""
    for number, (kind, length) in enumerate(segments):
        if kind == "random":
            image += random_bytes(length, seed=number)
        elif kind == "zeros":
            image += bytes(length)
        else:
            image += OLD[len(image) : len(image) + length]
    return image[: len(OLD)]


def write(medium: Medium, image: bytes, *, chunk: int = 256 * 1024, skip_identical: bool = False) -> Written:
    with SlotWriter(medium, len(image), name=NAME, skip_identical=skip_identical) as writer:
        for start in range(0, len(image), chunk):
            writer.write(image[start : start + chunk])
        return writer.finish()


@given(
    segments=SEGMENTS,
    chunk=st.sampled_from([4099, 100_000, 256 * 1024, MIB, 3 * MIB]),
    skip=st.booleans(),
    zeroes=st.booleans(),
)
@settings(max_examples=60)
def test_any_image_is_written_exactly(segments: list[tuple[str, int]], chunk: int, skip: bool, zeroes: bool) -> None:
    image = image_of(segments)
    medium = FakeMedium(content=bytearray(OLD), zeroes=zeroes)
    done = write(medium, image, chunk=chunk, skip_identical=skip)
    assert medium.content[: len(image)] == image
    assert medium.content[len(image) :] == OLD[len(image) :]
    assert done.written + done.zeroed + done.identical == len(image)
    assert medium.flushed
    assert medium.closed


@given(segments=SEGMENTS, skip=st.booleans())
@settings(max_examples=25)
def test_a_file_gets_any_image_exactly(
    tmp_path_factory: pytest.TempPathFactory, segments: list[tuple[str, int]], skip: bool
) -> None:
    image = image_of(segments)
    slot = tmp_path_factory.mktemp("slot") / "slot"
    slot.write_bytes(OLD)
    write(open_medium(slot), image, skip_identical=skip)
    assert slot.read_bytes() == image + OLD[len(image) :]
    slot.unlink()


@given(segments=SEGMENTS)
@settings(max_examples=15)
def test_a_volume_that_takes_things_in_order_only_gets_them_in_order(segments: list[tuple[str, int]]) -> None:
    image = image_of(segments)
    medium = FakeMedium(content=bytearray(OLD), comparable=False, zeroes=False, in_order=True)
    assert write(medium, image, skip_identical=True).written == len(image)
    assert medium.content[: len(image)] == image
    assert image == b"" or medium.began == len(image)


def test_what_is_there_already_is_not_written_again() -> None:
    medium = FakeMedium(content=bytearray(OLD))
    done = write(medium, OLD[: 3 * MIB + 77], skip_identical=True)
    assert done == Written(written=0, zeroed=0, identical=3 * MIB + 77)
    assert medium.operations == []


@pytest.mark.parametrize("at", [0, 64 * 1024, BLOCK - 1])
def test_one_byte_that_is_not_zero_is_not_taken_for_zeros(at: int) -> None:
    image = bytearray(BLOCK)
    image[at] = 1
    medium = FakeMedium(content=bytearray(OLD))
    write(medium, bytes(image))
    assert medium.content[:BLOCK] == image


def test_no_more_than_a_page_is_read_of_a_block_that_differs_at_its_start() -> None:
    asked: list[int] = []

    class Watched(FakeMedium):
        def read(self, into: memoryview, offset: int) -> int:
            asked.append(len(into))
            return super().read(into, offset)

    write(Watched(content=bytearray(OLD)), random_bytes(2 * BLOCK, seed=7), skip_identical=True)
    assert asked == [4096, 4096]


def test_of_an_image_that_differs_in_one_byte_one_block_is_written() -> None:
    image = bytearray(OLD)
    image[2 * MIB + 5] ^= 1
    medium = FakeMedium(content=bytearray(OLD))
    write(medium, bytes(image), skip_identical=True)
    assert medium.operations == [("write", 2 * MIB, BLOCK)]


def test_without_the_option_nothing_is_read() -> None:
    medium = FakeMedium(content=bytearray(OLD), fail={"read": errno.EIO})
    assert write(medium, OLD).written == len(OLD)


def test_zeros_are_handed_over_in_long_runs() -> None:
    medium = FakeMedium(content=bytearray(random_bytes(20 * MIB)))
    image = random_bytes(BLOCK) + bytes(18 * MIB) + random_bytes(BLOCK)
    write(medium, image)
    assert medium.operations == [
        ("write", 0, BLOCK),
        ("zero", BLOCK, ZERO_RUN),
        ("zero", BLOCK + ZERO_RUN, 18 * MIB - ZERO_RUN),
        ("write", BLOCK + 18 * MIB, BLOCK),
    ]


def test_zeros_at_the_end_are_made_real() -> None:
    medium = FakeMedium(content=bytearray(OLD))
    write(medium, random_bytes(MIB) + bytes(2 * MIB))
    assert medium.content[MIB : 3 * MIB] == bytes(2 * MIB)


def test_holes_are_punched_into_a_file_over_old_content(tmp_path: Path) -> None:
    slot = tmp_path / "slot"
    slot.write_bytes(OLD)
    before = slot.stat().st_blocks
    done = write(open_medium(slot), bytes(4 * MIB))
    assert slot.read_bytes() == bytes(4 * MIB) + OLD[4 * MIB :]
    if not done.zeroed:
        pytest.skip("this file system cannot punch holes")
    assert slot.stat().st_blocks <= before - 3 * MIB // 512


@pytest.mark.parametrize("size", [1, 4097, 2 * MIB])
def test_an_image_that_ends_early_is_refused(size: int) -> None:
    medium = FakeMedium(content=bytearray(OLD))
    with SlotWriter(medium, size + 1, name=NAME, skip_identical=False) as writer:
        writer.write(bytes(size))
        with pytest.raises(SlotError, match=f"ended after {size} of {size + 1} bytes"):
            writer.finish()
    assert medium.closed


def test_an_image_with_more_bytes_than_announced_is_refused() -> None:
    medium = FakeMedium(content=bytearray(OLD))
    with (
        SlotWriter(medium, 10, name=NAME, skip_identical=False) as writer,
        pytest.raises(SlotError, match="more than the 10 bytes announced"),
    ):
        writer.write(bytes(11))
    assert medium.operations == []


@pytest.mark.parametrize("step", ["begin", "read", "write", "zero", "flush"])
@pytest.mark.parametrize("at", [0, 2 * MIB])
@pytest.mark.parametrize(
    ("code", "hint"), [(errno.EIO, "storage fails"), (errno.ENOSPC, "full"), (errno.EROFS, "write-protected")]
)
def test_a_device_that_fails_ends_the_writing_and_says_what_to_do(step: str, at: int, code: int, hint: str) -> None:
    medium = FakeMedium(content=bytearray(OLD), fail={step: code}, fail_at=0 if step == "begin" else at)
    image = bytes(2 * MIB) + random_bytes(MIB) + bytes(MIB) + random_bytes(MIB)
    with pytest.raises(SlotError, match="cannot write /dev/slot") as caught:
        write(medium, image, skip_identical=True)
    assert hint in (caught.value.hint or "")
    assert medium.closed
    assert not medium.flushed


def test_after_an_error_of_the_caller_the_device_is_let_go() -> None:
    medium = FakeMedium(content=bytearray(OLD))

    def interrupted() -> None:
        with SlotWriter(medium, 3 * MIB, name=NAME, skip_identical=False) as writer:
            writer.write(random_bytes(2 * MIB))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert medium.closed
    assert not medium.flushed
