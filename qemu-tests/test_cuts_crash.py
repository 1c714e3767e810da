"""Cuts of a log: what is durable stays, what is not may go, and a name always means the same content."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cut_disks
from bistable.artifact.errors import RequestError
from bistable.qemu.crash import Loss, Playback, Prefix, Written, distinct, parse_cut, surviving
from bistable.qemu.cuts import cuts_of
from bistable.qemu.picture import PAGE, Picture, fingerprint_of
from bistable.qemu.writelog import Flag, WriteLog

pytestmark = cut_disks.NEEDS_QEMU_IO

COMMANDS = [
    "write -P 0xa1 0 8k",
    "write -P 0xa2 64k 1k",
    "flush",
    "write -P 0xb1 4k 8k",
    "write -P 0xb2 64k 1k",
    "write -P 0xb3 128k 512",
    "flush",
    "write -P 0xc1 64k 1k",
]


@pytest.fixture
def playback(tmp_path: Path) -> Iterator[Playback]:
    log = cut_disks.record(tmp_path, COMMANDS)
    with WriteLog(log) as opened, Picture(tmp_path / "base.img", {"part": (64 << 10, PAGE)}) as picture:
        yield Playback(opened, picture)


def content(playback: Playback, name: str) -> bytes:
    with playback.at(parse_cut(name)) as picture:
        return picture.read(0, cut_disks.SIZE)


BASE = bytes(range(256)) * (cut_disks.SIZE // 256)


def test_no_request_leaves_the_base(playback: Playback) -> None:
    assert content(playback, "prefix 0") == BASE


def test_a_prefix_holds_its_writes_and_no_later_one(playback: Playback) -> None:
    found = content(playback, "prefix 4")
    assert found[:12288] == b"\xa1" * 4096 + b"\xb1" * 8192
    assert found[64 << 10 : (64 << 10) + 1024] == b"\xa2" * 1024


def test_a_torn_write_ends_where_its_name_says(playback: Playback) -> None:
    assert content(playback, "prefix 3 torn 512")[4096 : 4096 + 1024] == b"\xb1" * 512 + b"\xa1" * 512


def test_what_comes_before_is_made_again_after_what_comes_later(playback: Playback) -> None:
    before = content(playback, "prefix 1")
    content(playback, "prefix 7")
    assert content(playback, "prefix 1") == before


def test_what_was_flushed_survives_every_loss(playback: Playback) -> None:
    for seed in range(200):
        found = content(playback, f"flush 1 seed {seed} torn 512")
        assert found[:4096] == b"\xa1" * 4096


def test_every_subset_of_what_was_not_flushed_occurs(playback: Playback) -> None:
    seen = set()
    for seed in range(200):
        found = content(playback, f"flush 1 seed {seed}")
        seen.add((found[4096] == 0xB1, found[64 << 10] == 0xB2, found[128 << 10] == 0xB3))
    assert len(seen) == 8


def test_a_torn_loss_keeps_the_second_half_of_a_write_alone_at_times(playback: Playback) -> None:
    contents = [content(playback, f"flush 1 seed {seed} torn 512") for seed in range(300)]
    assert any(found[64 << 10] == 0xA2 and found[(64 << 10) + 512] == 0xB2 for found in contents)


def test_a_loss_of_whole_writes_tears_none(playback: Playback) -> None:
    for seed in range(100):
        found = content(playback, f"flush 1 seed {seed}")
        assert len(set(found[64 << 10 : (64 << 10) + 1024])) == 1


def test_a_name_always_means_the_same_content(playback: Playback) -> None:
    assert content(playback, "flush 1 seed 7 torn 512") == content(playback, "flush 1 seed 7 torn 512")


def test_the_fingerprint_of_a_region_is_that_of_a_file_with_its_content(playback: Playback, tmp_path: Path) -> None:
    with playback.at(Prefix(count=5)) as picture:
        (tmp_path / "part").write_bytes(picture.read(64 << 10, PAGE))
        assert picture.region_fingerprint("part") == fingerprint_of(tmp_path / "part")[0]


def test_distinct_cuts_have_contents_that_all_differ(playback: Playback) -> None:
    cuts = cuts_of(playback.requests, seed=1, losses=20, small=(64 << 10, PAGE))
    found = [picture.read(0, cut_disks.SIZE) for _, picture in distinct(playback, cuts)]
    assert len(found) == len(set(found)) > 15


def test_a_saved_picture_has_the_content_of_the_cut(playback: Playback, tmp_path: Path) -> None:
    with playback.at(Loss(flush=1, seed=3, unit=512)) as picture:
        picture.save(tmp_path / "saved.img")
        assert (tmp_path / "saved.img").read_bytes() == picture.read(0, cut_disks.SIZE)


def kept(log: Path, name: str, places: Sequence[int]) -> list[bool]:
    """Whether the first sector at each of these places was written when the power went."""
    with WriteLog(log) as opened, Picture(log.with_name("base.img"), {}) as picture:
        found = content(Playback(opened, picture), name)
        return [any(found[place : place + 512]) for place in places]


def test_a_write_with_fua_survives_when_others_follow_it(tmp_path: Path) -> None:
    log = cut_disks.synthetic(tmp_path, [(0, b"a" * 512, Flag.FUA), (8192, b"b" * 512, 0), (4096, b"c" * 512, 0)])
    seen = [kept(log, f"flush 0 seed {seed}", (0, 8192, 4096)) for seed in range(200)]
    assert all(fua for fua, second, third in seen if second or third)


def test_a_write_with_fua_that_the_cut_came_into_may_be_lost(tmp_path: Path) -> None:
    log = cut_disks.synthetic(tmp_path, [(0, b"a" * 512, Flag.FUA)])
    assert {kept(log, f"flush 0 seed {seed}", (0,))[0] for seed in range(50)} == {True, False}


def test_a_flush_that_comes_with_data_makes_what_was_before_durable_and_not_the_data(tmp_path: Path) -> None:
    log = cut_disks.synthetic(tmp_path, [(0, b"a" * 512, 0), (4096, b"b" * 512, Flag.FLUSH), (8192, b"c" * 512, 0)])
    seen = [kept(log, f"flush 1 seed {seed}", (0, 4096, 8192)) for seed in range(100)]
    assert all(first for first, _, _ in seen)
    assert {second for _, second, _ in seen} == {True, False}


def test_inside_the_small_place_every_sector_is_torn_and_elsewhere_one(tmp_path: Path) -> None:
    log = cut_disks.synthetic(tmp_path, [(0, b"a" * 4096, 0), (64 << 10, b"b" * 4096, 0)])
    with WriteLog(log) as opened:
        cuts = list(cuts_of(opened.requests, seed=1, losses=0, small=(64 << 10, PAGE)))
    torn = [cut for cut in cuts if isinstance(cut, Prefix) and cut.torn]
    assert [sum(cut.count == count for cut in torn) for count in (0, 1)] == [1, 7]


@pytest.mark.parametrize("name", ["prefix 100", "flush 9 seed 1", "prefix 8 torn 4"])
def test_a_cut_beyond_the_log_is_refused(playback: Playback, name: str) -> None:
    if "torn" in name:
        name = f"prefix {len(playback.requests)} torn 512"
    with pytest.raises(RequestError, match="the log has"), playback.at(parse_cut(name)):
        pass


@pytest.mark.parametrize(
    "name", ["", "prefix", "prefix -1", "prefix 1 torn", "flush 1", "seed 3", "prefix 1 seed 2", "prefix \u0661"]
)
def test_a_name_that_no_cut_has_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="no cut has such a name"):
        parse_cut(name)


CUTS = st.one_of(
    st.builds(Prefix, count=st.integers(0, 10**8), torn=st.integers(0, 10**8)),
    st.builds(Loss, flush=st.integers(0, 10**8), seed=st.integers(0, 10**8), unit=st.integers(0, 10**8)),
)


@given(cut=CUTS)
def test_a_cut_is_found_by_its_name(cut: Prefix | Loss) -> None:
    assert parse_cut(str(cut)) == cut


WRITES = st.lists(
    st.builds(
        Written,
        start=st.integers(0, 40).map(lambda n: n * 512),
        data=st.binary(min_size=1, max_size=2000),
        durable=st.booleans(),
    ),
    max_size=8,
)


@given(writes=WRITES, seed=st.integers(0, 1000), unit=st.sampled_from([0, 512]))
def test_what_survives_is_made_of_what_was_written_and_all_that_was_durable(
    writes: list[Written], seed: int, unit: int
) -> None:
    found = list(surviving(writes, Random(seed), unit))
    assert [w for w in found if w.durable] == [w for w in writes if w.durable]
    for piece in found:
        assert any(
            w.start <= piece.start and piece.data == w.data[piece.start - w.start :][: len(piece.data)] for w in writes
        )
