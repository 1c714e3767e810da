"""Where a file's blocks are is taken from the image, but not believed without a check."""

import struct

import pytest

from bistable.artifact.errors import RejectedError
from bistable.artifact.image.ext.blocks import BlockMap, Run
from bistable.artifact.image.ext.inode import EXTENTS_FLAG, Inode
from bistable.artifact.image.ext.superblock import damaged
from bistable.artifact.image.model import Kind

SIZE = 1024
BLOCKS = 1000


def inode(block: bytes, *, extents: bool = True) -> Inode:
    return Inode(
        number=12,
        kind=Kind.FILE,
        mode=0o644,
        uid=0,
        gid=0,
        size=0,
        times=(0, 0, 0),
        links=1,
        sectors=0,
        flags=EXTENTS_FLAG if extents else 0,
        block=block.ljust(60, b"\x00"),
        attribute_block=0,
        attributes=b"",
    )


def node(*entries: bytes, depth: int = 0, magic: int = 0xF30A, count: int | None = None) -> bytes:
    return struct.pack("<HHHHI", magic, len(entries) if count is None else count, 4, depth, 0) + b"".join(entries)


def leaf(logical: int, physical: int, count: int) -> bytes:
    return struct.pack("<IHHI", logical, count, physical >> 32, physical & 0xFFFFFFFF)


def index(logical: int, block: int) -> bytes:
    return struct.pack("<IIHH", logical, block, 0, 0)


def pointers(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def runs(made: Inode, blocks: dict[int, bytes] | None = None) -> list[Run]:
    stored = blocks or {}
    found = BlockMap(
        block_size=SIZE,
        blocks=BLOCKS,
        read_block=lambda number: stored[number].ljust(SIZE, b"\x00"),
        damaged=lambda why: damaged("image", why),
    )
    return list(found.runs(made))


def test_extents_are_runs_and_reserved_ones_have_no_place() -> None:
    assert runs(inode(node(leaf(0, 100, 5), leaf(7, 300, 32768 + 2), leaf(40000, 200, 1)))) == [
        Run(logical=0, physical=100, count=5),
        Run(logical=7, physical=None, count=2),
        Run(logical=40000, physical=200, count=1),
    ]


def test_a_tree_of_extents_is_followed_to_its_leaves() -> None:
    made = inode(node(index(0, 10), index(5, 11), depth=1))
    assert runs(made, {10: node(leaf(0, 100, 5)), 11: node(leaf(5, 105, 1))}) == [
        Run(logical=0, physical=100, count=5),
        Run(logical=5, physical=105, count=1),
    ]


def test_neighbours_in_a_map_of_single_blocks_are_one_run() -> None:
    made = inode(pointers(50, 51, 0, 53, *[0] * 8, 20), extents=False)
    assert runs(made, {20: pointers(60, 61)}) == [
        Run(logical=0, physical=50, count=2),
        Run(logical=3, physical=53, count=1),
        Run(logical=12, physical=60, count=2),
    ]


def test_a_map_of_two_levels_counts_from_the_right_block() -> None:
    made = inode(pointers(*[0] * 13, 20), extents=False)
    found = runs(made, {20: pointers(0, 21), 21: pointers(0, 0, 70)})
    assert found == [Run(logical=12 + 256 + 256 + 2, physical=70, count=1)]


BROKEN = {
    "extents that overlap": node(leaf(0, 100, 5), leaf(4, 200, 1)),
    "extents that go back": node(leaf(9, 100, 1), leaf(0, 200, 1)),
    "an extent behind the end": node(leaf(0, BLOCKS - 1, 2)),
    "an extent far behind the end": node(leaf(0, 1 << 40, 1)),
    "an extent at block 0": node(leaf(0, 0, 1)),
    "a wrong magic number": node(leaf(0, 100, 1), magic=0xF30B),
    "more entries than there is room": node(leaf(0, 100, 1), count=5),
    "a tree that is too deep": node(index(0, 10), depth=6),
    "an index behind the end": node(index(0, BLOCKS), depth=1),
    "an index to block 0": node(index(0, 0), depth=1),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_trees_are_refused(case: str) -> None:
    with pytest.raises(RejectedError, match="cannot read the file system in image"):
        runs(inode(BROKEN[case]))


def test_a_child_of_the_wrong_depth_is_refused() -> None:
    with pytest.raises(RejectedError, match="extent tree is broken"):
        runs(inode(node(index(0, 10), depth=2)), {10: node(leaf(0, 100, 1))})


def test_a_tree_that_leads_in_circles_is_refused_soon() -> None:
    empty = node()
    wide = node(*[index(0, 11)] * 80, depth=1)
    wider = node(*[index(0, 10)] * 80, depth=2)
    with pytest.raises(RejectedError, match="circles"):
        runs(inode(node(index(0, 9), index(0, 9), depth=3)), {9: wider, 10: wide, 11: empty})


def test_a_map_of_single_blocks_that_leads_in_circles_is_refused_soon() -> None:
    full = pointers(*[20] * 256)
    with pytest.raises(RejectedError):
        runs(inode(pointers(*[0] * 14, 20), extents=False), {20: full})


def test_empty_maps_that_share_their_blocks_are_refused_soon() -> None:
    made = inode(pointers(*[0] * 14, 20), extents=False)
    with pytest.raises(RejectedError, match="circles"):
        runs(made, {20: pointers(*[21] * 256), 21: pointers(*[22] * 256), 22: b""})
