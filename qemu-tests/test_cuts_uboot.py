"""What U-Boot, which does not flush, can lose of its environment between two flushes of Linux: known, and survived."""

from pathlib import Path

import pytest

import cut_world
from bistable.qemu.checker import Checker, Kind, Verdict
from bistable.qemu.gpt import read_gpt
from bistable.qemu.picture import Picture
from bistable.tools.boot.decide import decide
from cut_world import BROKEN, NEW, PLACES, PLAN, environment

pytestmark = cut_world.NEEDS_TOOLS
COPY = 16384
OFFSETS = (0, 65536)


def by_the_client() -> bytes:
    """The environment's partition after fw_setenv has written both copies, which it fills with 0xff: a is on trial."""
    forbidden = environment("b", "0", "good", counter=6)
    activated = environment("a b", "3", "good", counter=7)
    return forbidden.ljust(OFFSETS[1], b"\0") + activated.ljust(OFFSETS[1], b"\0")


def test_a_save_fills_the_rest_of_its_copy_with_other_bytes_than_the_client() -> None:
    # This is why a copy can be torn at all: all that has a meaning lies in its first sector.
    before, after = by_the_client(), decide(PLAN, by_the_client()).environment_after
    assert before[512:COPY] == b"\xff" * (COPY - 512)
    assert after[512:COPY] == bytes(COPY - 512)


def torn_twice() -> bytes:
    """A system on trial cannot be loaded, U-Boot counts two tries without a flush, and half of each write survives."""
    before = by_the_client()
    once = decide(PLAN, before).environment_after
    twice = decide(PLAN, once).environment_after
    lost = bytearray(before)
    for offset in OFFSETS:
        lost[offset : offset + COPY // 2] = twice[offset : offset + COPY // 2]
    return bytes(lost)


def test_two_saves_that_are_both_torn_leave_no_valid_copy() -> None:
    assert [copy.valid for copy in decide(PLAN, torn_twice()).copies] == [False, False]


@pytest.fixture
def verdict(tmp_path: Path) -> Verdict:
    path = tmp_path / "disk.img"
    cut_world.make_table(path)
    disk = path.read_bytes()
    partitions = read_gpt(lambda start, length: disk[start : start + length], len(disk))
    checker = Checker(PLAN, partitions, cut_world.contents(tmp_path))
    with Picture(path, checker.regions(len(disk))) as picture:
        picture.write(PLACES["boot-env"], torn_twice())
        picture.write(PLACES["rootfs-a"], BROKEN)
        picture.write(PLACES["rootfs-b"], NEW)
        return checker.check(picture)


def test_what_was_good_comes_up_all_the_same_after_the_tries_of_the_other(verdict: Verdict) -> None:
    assert verdict.running is not None
    assert (verdict.path[:4], verdict.running.slot, verdict.running.artifact) == ("AAAb", "b", "release-2")


def test_the_checker_tells_of_it(verdict: Verdict) -> None:
    assert Kind.LOADER in {finding.kind for finding in verdict.findings}
