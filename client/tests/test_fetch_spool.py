"""What was fetched is kept across kills, restarts and power cuts; what is not sound of it is never used."""

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from client_http import CONTENT, WHEN, Patience, Reading, Site, Waiting, after, dropping, listening, replaced, saying
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bistable.client.errors import StoreError
from bistable.client.fetch import (
    ChangedError,
    LinkRefusedError,
    Spool,
    SpoolSettings,
    TransientFetchError,
    open_artifact,
)

EVERY = 256 * 1024
OTHER = bytes(byte ^ 0x55 for byte in CONTENT)
FIXTURES = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def site() -> Iterator[Site]:
    with listening() as found:
        yield found


@pytest.fixture
def kept(tmp_path: Path) -> "Kept":
    return Kept(SpoolSettings(directory=tmp_path / "data", max_size=1 << 30, min_free=0, every=EVERY))


class Kept:
    """A data partition, and the processes that come and go on it."""

    def __init__(self, where: SpoolSettings) -> None:
        self.where = where
        self.data = where.directory / "download.part"
        self.record = where.directory / "download.json"

    def fetch(self, site: Site, *, key: str = "one", limit: int | None = None, **more: Any) -> bytes:
        """Fetch in a new process, as it were, to the end, or to where the process ends by itself."""
        with open_artifact(site.url, Waiting().settings(**more), spool=Spool(self.where), key=key) as source:
            return bytes(Reading().take(source, limit=limit).data)

    def killed(self, site: Site, *, limit: int, key: str = "one", mirrors: tuple[str, ...] = ()) -> bytes:
        """Fetch in a process that is killed after `limit` bytes: nothing of it is put in order."""
        opening = open_artifact(site.url, Waiting().settings(), spool=Spool(self.where), key=key, mirrors=mirrors)
        source = opening.__enter__()
        data = bytes(Reading().take(source, limit=limit).data)
        frozen = {path: path.read_bytes() for path in self.files()}
        opening.__exit__(None, None, None)
        for path in self.files():
            path.unlink()
        for path, content in frozen.items():
            path.write_bytes(content)
        return data

    def files(self) -> list[Path]:
        return sorted(self.where.directory.iterdir()) if self.where.directory.exists() else []

    def position(self) -> int:
        found = json.loads(self.record.read_bytes())["position"]
        assert isinstance(found, int)
        return found


def start_of(text: str | None) -> int:
    return 0 if text is None else int(text.removeprefix("bytes=").rstrip("-"))


def test_a_killed_fetch_is_continued_at_its_last_checkpoint(site: Site, kept: Kept) -> None:
    assert kept.killed(site, limit=1_000_000) == CONTENT[:1_000_000]
    assert kept.fetch(site) == CONTENT
    assert 1_000_000 - EVERY - 65536 <= start_of(site.ranges[1]) + 4096 <= 1_000_000
    assert site.asked[1]["if-range"] == '"one"'


def test_a_fetch_that_ends_in_order_keeps_all_it_had(site: Site, kept: Kept) -> None:
    with pytest.raises(Patience):
        kept.fetch(site, check=after(20))
    had = kept.position()
    assert had == kept.data.stat().st_size > 0
    assert kept.fetch(site) == CONTENT
    assert start_of(site.ranges[1]) == had - 4096


def test_what_is_complete_is_not_asked_for_again(site: Site, kept: Kept) -> None:
    kept.fetch(site)
    assert kept.fetch(site) == CONTENT
    assert len(site.asked) == 1


def test_the_size_is_known_when_a_fetch_is_continued(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=1_000_000)
    with open_artifact(site.url, Waiting().settings(), spool=Spool(kept.where), key="one") as source:
        assert source.size == len(CONTENT)


@settings(max_examples=15, suppress_health_check=FIXTURES)
@given(
    kills=st.lists(st.integers(1, len(CONTENT)), max_size=4),
    cuts=st.lists(st.integers(0, len(CONTENT) - 1), max_size=4),
    tag=st.sampled_from(['"one"', 'W/"one"', None]),
)
def test_any_kills_and_drops_do_not_show(
    site: Site, kept: Kept, kills: list[int], cuts: list[int], tag: str | None
) -> None:
    Spool(kept.where).discard()
    site.etag, site.answers = tag, [dropping(cut) for cut in cuts]
    for limit in kills:
        assert kept.killed(site, limit=limit) == CONTENT[:limit]
    assert kept.fetch(site) == CONTENT


@settings(max_examples=15, suppress_health_check=FIXTURES)
@given(cut=st.integers(0, 1_900_000), record_first=st.booleans())
def test_a_spool_that_lost_its_end_is_used_as_far_as_it_is_sound(
    site: Site, kept: Kept, cut: int, record_first: bool
) -> None:
    Spool(kept.where).discard()
    site.asked.clear()
    kept.killed(site, limit=1_900_000)
    os.truncate(kept.data, min(cut, kept.data.stat().st_size))
    if record_first:
        kept.killed(site, limit=100)  # and dies again at once
    assert kept.fetch(site) == CONTENT
    assert start_of(site.ranges[-1]) <= cut
    if cut >= 1 << 20:
        assert start_of(site.ranges[-1]) >= (1 << 20) - 4096


@settings(max_examples=15, suppress_health_check=FIXTURES)
@given(at=st.integers(0, 1_599_999), length=st.integers(1, 5000))
def test_damaged_bytes_are_never_served(site: Site, kept: Kept, at: int, length: int) -> None:
    Spool(kept.where).discard()
    kept.killed(site, limit=1_900_000)
    with kept.data.open("r+b") as file:
        file.seek(at)
        damaged = bytes(byte ^ 0xFF for byte in file.read(length))
        file.seek(at)
        file.write(damaged)
    assert kept.fetch(site) == CONTENT


def damage(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(5000))


def test_damage_cuts_off_what_follows_the_last_sound_mark(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=1_900_000)
    damage(kept.data, 1_300_000)
    site.answers = [saying(404)]
    with pytest.raises(LinkRefusedError):
        kept.fetch(site)
    assert kept.data.stat().st_size == 1 << 20
    assert kept.fetch(site) == CONTENT
    assert site.ranges[-1] == f"bytes={(1 << 20) - 4096}-"


def test_damage_before_a_lost_end_is_never_served(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=1_900_000)
    os.truncate(kept.data, 1_500_000)
    damage(kept.data, 1_300_000)
    assert kept.fetch(site) == CONTENT
    assert site.ranges[-1] == f"bytes={(1 << 20) - 4096}-"


@settings(max_examples=15, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_a_damaged_record_is_thrown_away(site: Site, kept: Kept, data: st.DataObject) -> None:
    Spool(kept.where).discard()
    kept.killed(site, limit=600_000)
    raw = kept.record.read_bytes()
    at = data.draw(st.integers(0, len(raw)))
    kept.record.write_bytes(raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + data.draw(st.integers(0, 3)) :])
    assert kept.fetch(site) == CONTENT


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"position": -1},
        {"position": 1.5},
        {"position": True},
        {"position": 1 << 70},
        {"size": 1},
        {"marks": []},
        {"marks": [1]},
        {"sha256": "A" * 64},
        {"key": None},
        {"etag": 'x"\r\nHost: y'},
        {"address_sha256": 3},
    ],
)
def test_a_record_that_makes_no_sense_is_thrown_away(site: Site, kept: Kept, change: dict[str, Any]) -> None:
    kept.killed(site, limit=1_500_000)
    kept.record.write_text(json.dumps(json.loads(kept.record.read_bytes()) | change))
    assert kept.fetch(site) == CONTENT
    assert site.ranges[-1] is None


def test_damage_that_happens_while_it_is_read_back_is_an_error(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=2_000_000)
    with open_artifact(site.url, Waiting().settings(), spool=Spool(kept.where), key="one") as source:
        first = source.read(10)
        kept.data.write_bytes(bytes(2_000_000))
        reading = Reading()
        with pytest.raises(TransientFetchError, match="cannot read back what was kept"):
            reading.take(source)
    assert CONTENT.startswith(first + reading.data)
    assert kept.fetch(site) == CONTENT


def test_a_spool_cut_off_while_it_is_read_back_is_an_error(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=2_000_000)
    with open_artifact(site.url, Waiting().settings(), spool=Spool(kept.where), key="one") as source:
        os.truncate(kept.data, 5)
        with pytest.raises(TransientFetchError, match="cannot read back"):
            source.read(10)
    assert not kept.files()


def test_another_artifact_starts_anew_and_replaces_what_was_kept(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=1_000_000)
    site.content = OTHER
    assert kept.fetch(site, key="two") == OTHER
    assert kept.files() == [kept.record, kept.data]
    assert kept.data.read_bytes() == OTHER


def test_what_was_kept_for_another_key_is_not_used(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=1_000_000)
    assert kept.fetch(site, key="two") == CONTENT
    assert site.ranges == [None, None]


def test_a_link_in_the_place_of_the_kept_bytes_is_not_followed(site: Site, kept: Kept, tmp_path: Path) -> None:
    kept.killed(site, limit=1_000_000)
    kept.data.rename(tmp_path / "elsewhere")
    kept.data.symlink_to(tmp_path / "elsewhere")
    assert kept.fetch(site) == CONTENT
    assert site.ranges == [None, None]


def test_the_address_is_the_key_if_none_is_given_and_is_not_stored(site: Site, kept: Kept) -> None:
    site.url += "?signature=secret"
    for limit in (1_000_000, None):
        with open_artifact(site.url, Waiting().settings(), spool=Spool(kept.where)) as source:
            Reading().take(source, limit=limit)
    assert site.ranges[1] is not None
    assert b"secret" not in kept.record.read_bytes()


def test_a_changed_body_starts_anew_without_an_error(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=2_000_000)
    site.content, site.etag = OTHER, '"two"'
    assert kept.fetch(site) == OTHER


def test_a_changed_body_under_the_same_tag_starts_anew(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=2_000_000)
    site.content = OTHER
    assert kept.fetch(site) == OTHER


def test_a_body_of_another_size_starts_anew(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=2_000_000)
    site.content = OTHER[:1_000_000]
    assert kept.fetch(site) == OTHER[:1_000_000]


def test_a_change_in_the_midst_is_an_error_and_the_next_fetch_starts_anew(site: Site, kept: Kept) -> None:
    site.answers = [dropping(1_000_000), replaced(OTHER, etag='"two"')]
    with pytest.raises(ChangedError):
        kept.fetch(site)
    assert not kept.files()
    assert kept.fetch(site) == OTHER


def test_a_new_signed_link_of_the_same_file_continues_by_its_strong_tag(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=1_000_000)
    site.url += "?signature=new"
    assert kept.fetch(site) == CONTENT
    assert site.ranges[1] is not None


def test_a_new_link_without_a_strong_tag_is_read_again_and_compared(site: Site, kept: Kept) -> None:
    site.etag, site.modified = None, WHEN
    kept.killed(site, limit=1_000_000)
    site.url += "?signature=new"
    assert kept.fetch(site) == CONTENT
    assert site.ranges[1] is None


def test_a_link_that_ran_out_does_not_lose_what_was_kept(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=1_000_000)
    site.answers = [saying(403)]
    with pytest.raises(LinkRefusedError):
        kept.fetch(site)
    assert kept.fetch(site) == CONTENT
    assert site.ranges[2] is not None


def test_an_unreachable_server_does_not_lose_what_was_kept(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=1_000_000)
    site.answers = [saying(503)] * 3
    with pytest.raises(TransientFetchError):
        kept.fetch(site, retries=2)
    assert kept.fetch(site) == CONTENT
    assert site.ranges[-1] is not None


def test_an_abort_ends_the_check_of_what_was_kept(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=2_000_000)
    with pytest.raises(Patience):
        kept.fetch(site, check=after(1))
    assert kept.fetch(site) == CONTENT
    assert site.ranges[1] is not None


def test_no_more_than_the_limit_is_kept_and_it_is_of_use(site: Site, kept: Kept) -> None:
    kept.where = replace(kept.where, max_size=1_000_000)
    assert kept.fetch(site) == CONTENT
    assert 0 < kept.data.stat().st_size == kept.position() <= 1_000_000 + 65536
    assert kept.fetch(site) == CONTENT
    assert site.ranges[1] is not None


def test_nothing_is_kept_where_the_disk_is_short(site: Site, kept: Kept) -> None:
    kept.where = replace(kept.where, min_free=1 << 62)
    assert kept.fetch(site) == CONTENT
    assert not kept.files()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the kernel refuse to let files grow, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [0, 200, 700_000])
def test_a_full_disk_does_not_end_the_fetch_and_is_left_alone(site: Site, kept: Kept, size: int) -> None:
    with files_of_at_most(size):
        assert kept.fetch(site) == CONTENT
    assert not kept.files()
    assert kept.fetch(site) == CONTENT


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_place_that_cannot_be_used_does_not_end_the_fetch(site: Site, kept: Kept, tmp_path: Path, kind: str) -> None:
    if kind == "file":
        kept.where.directory.write_bytes(b"")
    else:
        kept.where.directory.mkdir()
        kept.record.symlink_to(tmp_path / "elsewhere")
        kept.data.symlink_to(tmp_path / "elsewhere")
    assert kept.fetch(site) == CONTENT
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_kept_is_for_its_owner_only(site: Site, kept: Kept) -> None:
    kept.fetch(site)
    assert kept.data.stat().st_mode & 0o077 == 0


def test_discarding_removes_all_and_may_be_repeated(site: Site, kept: Kept) -> None:
    kept.fetch(site)
    for _ in range(2):
        Spool(kept.where).discard()
        assert not kept.files()


def test_discarding_that_fails_says_so(kept: Kept) -> None:
    kept.data.mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot remove"):
        Spool(kept.where).discard()


def test_a_mirror_may_finish_what_another_server_began(site: Site, kept: Kept) -> None:
    kept.killed(site, limit=1_000_000)
    with listening() as mirror:
        assert kept.fetch(mirror) == CONTENT
        assert mirror.ranges[0] is not None
