"""The log of a deployment: where it is, how large it gets, and what is read of it."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.server import DeploymentLog, backoff, read_log, report_attempts
from bistable.client.server.deploymentlog import KEPT, MESSAGE_SIZE

SOUND = b'{"timestamp":"t","level":"info","message":"sound"}'
NAME = "bistable.client.of-a-test"
log = logging.getLogger(f"{NAME}.part")


@pytest.fixture(autouse=True)
def _loud() -> Iterator[None]:
    logging.getLogger(NAME).setLevel(logging.INFO)
    yield
    logger = logging.getLogger(NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def start(directory: Path, deployment: str = "one", **more: int) -> DeploymentLog:
    found = DeploymentLog.start(directory, deployment, logger=NAME, **more)
    assert found is not None
    return found


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def messages(directory: Path, deployment: str = "one") -> list[str]:
    return [line.message for line in read_log(directory, deployment)]


def test_what_the_client_says_is_written_as_the_existing_client_does(tmp_path: Path) -> None:
    handler = start(tmp_path)
    log.info("fetching %s", 'a "b" é')
    log.debug("not of this level")
    handler.stop(NAME)
    log.info("after the end")
    path = tmp_path / "deployments.0001.one.log"
    [line] = path.read_text().splitlines()
    values = json.loads(line)
    assert set(values) == {"level", "message", "timestamp"}
    assert (values["level"], values["message"]) == ("info", 'fetching a "b" é')
    assert values["timestamp"].endswith("Z")
    assert path.stat().st_mode & 0o777 == 0o600
    assert messages(tmp_path) == ['fetching a "b" é']


def test_a_log_goes_on_after_a_restart(tmp_path: Path) -> None:
    for word in ("before", "after"):
        handler = start(tmp_path)
        log.info(word)
        handler.stop(NAME)
    assert names(tmp_path) == ["deployments.0001.one.log"]
    assert messages(tmp_path) == ["before", "after"]


def test_the_newest_logs_are_kept(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        handler = start(tmp_path, f"id-{number}")
        log.info("%d", number)
        handler.stop(NAME)
    assert names(tmp_path) == [f"deployments.{5 - n:04}.id-{n + 3}.log" for n in range(4, -1, -1)]
    assert messages(tmp_path, "id-7") == ["7"]
    assert messages(tmp_path, "id-2") == []


def test_logs_of_the_existing_client_move_on_with_ours(tmp_path: Path) -> None:
    (tmp_path / "deployments.0001.old.log").write_text('{"level":"info","message":"a","timestamp":"b"}\n')
    (tmp_path / "deployments.txt").touch()
    start(tmp_path).stop(NAME)
    assert names(tmp_path) == ["deployments.0001.one.log", "deployments.0002.old.log", "deployments.txt"]
    assert messages(tmp_path, "old") == ["a"]


def test_a_log_has_a_bound_and_keeps_its_end(tmp_path: Path) -> None:
    handler = start(tmp_path, limit=4000)
    for number in range(500):
        log.info("message %d", number)
        assert (tmp_path / "deployments.0001.one.log").stat().st_size <= 4000
    handler.stop(NAME)
    found = messages(tmp_path)
    assert found[-1] == "message 499"
    assert found == [f"message {number}" for number in range(500 - len(found), 500)]


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    handler = start(tmp_path)
    log.info("x" * 100_000)
    handler.stop(NAME)
    assert messages(tmp_path) == ["x" * MESSAGE_SIZE + "…"]


def test_without_room_no_log_is_begun(tmp_path: Path) -> None:
    assert DeploymentLog.start(tmp_path, "one", logger=NAME, min_free=1 << 60) is None
    assert DeploymentLog.start(tmp_path / "missing", "one", logger=NAME) is None
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_does_not_end_the_update(tmp_path: Path) -> None:
    handler = DeploymentLog(Path("/dev/full"))
    logging.getLogger(NAME).addHandler(handler)
    log.info("one")
    log.info("two")
    handler.stop(NAME)


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "deployments.0001.one.log").symlink_to(target)
    handler = start(tmp_path)
    log.info("one")
    handler.stop(NAME)
    assert target.read_text() == "mine"


@given(st.lists(st.binary(max_size=40).filter(lambda data: b"\n" not in data) | st.just(SOUND), max_size=20))
def test_damaged_lines_are_passed_over(lines: list[bytes]) -> None:
    with TemporaryDirectory() as name:
        (Path(name) / "deployments.0001.one.log").write_bytes(b"\n".join(lines))
        assert messages(Path(name)).count("sound") == lines.count(SOUND)


# --- how long is waited over hours


def test_waits_double_after_three_attempts_up_to_the_longest() -> None:
    waits = [backoff(tried, 300.0) for tried in range(13)]
    assert waits == [60.0] * 3 + [120.0] * 3 + [240.0] * 3 + [300.0] * 3 + [None]


def test_short_intervals_become_a_minute() -> None:
    assert [backoff(tried, 5.0) for tried in range(4)] == [60.0, 60.0, 60.0, None]


def test_a_number_of_attempts_goes_over_the_rule() -> None:
    assert [backoff(tried, 60.0, attempts=5) for tried in range(6)] == [60.0] * 5 + [None]
    assert backoff(1, 300.0, attempts=1) is None


@pytest.mark.parametrize(("poll", "retry", "attempts"), [(1800, 300, 11), (1800, 0, 4), (1800, 900, 4), (50, 10, 11)])
def test_the_server_is_tried_as_often_as_the_existing_client_does(poll: float, retry: float, attempts: int) -> None:
    assert report_attempts(poll, retry) == attempts
