"""Where somebody at the device wants an update to wait."""

import pytest
from client_maps import DEPLOYMENT, OTHER, MemoryValues

from bistable.client.deployment.pauses import PAUSES_KEY, WORDS, KeptPauses, Pause
from bistable.client.errors import StoreError, UsageError
from bistable.client.model import Point

ANN = Pause(who="ann", why="lunch")


def test_pauses_are_there_after_a_restart() -> None:
    values = MemoryValues()
    KeptPauses(values).ask({Point.INSTALL, Point.DOWNLOAD}, DEPLOYMENT, ANN)
    after = KeptPauses(values)
    assert after.points(DEPLOYMENT) == {Point.INSTALL, Point.DOWNLOAD}
    assert after.at(Point.INSTALL, DEPLOYMENT) == ANN
    assert after.at(Point.COMMIT, DEPLOYMENT) is None


def test_pauses_add_up_and_are_taken_back_one_by_one() -> None:
    pauses = KeptPauses(MemoryValues())
    pauses.ask([Point.INSTALL], DEPLOYMENT, ANN)
    pauses.ask([Point.COMMIT], DEPLOYMENT, Pause(who="bob"))
    pauses.take_back(Point.INSTALL, DEPLOYMENT)
    pauses.take_back(Point.REBOOT, DEPLOYMENT)
    pauses.take_back(Point.COMMIT, OTHER)
    assert pauses.points(DEPLOYMENT) == {Point.COMMIT}


def test_pauses_are_those_of_one_deployment() -> None:
    pauses = KeptPauses(MemoryValues())
    pauses.ask([Point.INSTALL], DEPLOYMENT, ANN)
    assert pauses.points(OTHER) == frozenset()
    assert pauses.at(Point.INSTALL, OTHER) is None
    pauses.ask([Point.COMMIT], OTHER, ANN)
    assert pauses.points(DEPLOYMENT) == frozenset()
    assert pauses.points(OTHER) == {Point.COMMIT}


def test_a_deployment_that_is_over_has_none() -> None:
    values = MemoryValues()
    pauses = KeptPauses(values)
    pauses.ask([Point.INSTALL], DEPLOYMENT, ANN)
    pauses.end_deployment(OTHER)
    assert pauses.points(DEPLOYMENT)
    pauses.end_deployment(DEPLOYMENT)
    assert not pauses.points(DEPLOYMENT)
    assert values.kept[PAUSES_KEY] == ""


def test_a_point_that_was_opened_cannot_be_paused_any_more() -> None:
    values = MemoryValues()
    with pytest.raises(UsageError, match="install"):
        KeptPauses(values).ask([Point.INSTALL, Point.COMMIT], DEPLOYMENT, ANN, opened={Point.INSTALL})
    assert values.writes == 0


def test_what_cannot_be_kept_has_not_happened() -> None:
    values = MemoryValues()
    pauses = KeptPauses(values)
    values.fails = True
    with pytest.raises(StoreError):
        pauses.ask([Point.INSTALL], DEPLOYMENT, ANN)
    assert not pauses.points(DEPLOYMENT)


def test_long_words_are_cut() -> None:
    pauses = KeptPauses(MemoryValues())
    pauses.ask([Point.INSTALL], DEPLOYMENT, Pause(who="a" * 999, why="b" * 999))
    found = pauses.at(Point.INSTALL, DEPLOYMENT)
    assert found is not None
    assert (len(found.who), len(found.why)) == (WORDS, WORDS)


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", '{"points": 3}', '{"points": {}}', '{"deployment": "x"}', "[" * 100000]
)
def test_what_makes_no_sense_is_nothing(text: str) -> None:
    values = MemoryValues()
    values.kept[PAUSES_KEY] = text
    assert not KeptPauses(values).points("x")


def test_a_pause_without_words_is_still_one_and_a_newer_point_is_not_looked_at() -> None:
    values = MemoryValues()
    values.kept[PAUSES_KEY] = '{"deployment": "x", "points": {"install": null, "lunch": {}}}'
    assert KeptPauses(values).points("x") == {Point.INSTALL}
