"""Who may hold a managed update, and who may go over whom."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from client_maps import APPLICATION, DEPLOYMENT, OTHER, MemoryValues, made, text_of

from bistable.client.deployment.gates import Holder, ManagedGates
from bistable.client.deployment.keptmaps import KeptMaps, MapSettings
from bistable.client.deployment.pauses import KeptPauses, Pause
from bistable.client.deployment.ports import Hold, Open, Refuse, Verdict
from bistable.client.errors import AbortedError, ClientError, FetchError, StoreError
from bistable.client.machine import GATES, PAUSES, Record, State
from bistable.client.model import Mode, Point

GATE_AT = {point: state for state, point in GATES.items()}
PAUSE_AT = {point: state for state, point in PAUSES.items()}
MAPPED = [Point.INSTALL, Point.REBOOT, Point.COMMIT]
ONCE = {"action": "pause", "on_action_executed": "continue"}


@dataclass
class Desk:
    """The gates, and all who may hold."""

    values: MemoryValues = field(default_factory=MemoryValues)
    inhibited: dict[Point, list[Holder]] = field(default_factory=dict)
    now: float = 0.0
    asked: list[str] = field(default_factory=list)
    answer: ClientError | None = None
    sends: dict[str, Any] | None = None
    """States of the map that the server sends when it is asked."""

    def __post_init__(self) -> None:
        settings = MapSettings(life=3600.0, boot_life=600.0)
        self.maps = KeptMaps(self.values, settings, boot_id="boot", clock=lambda: self.now)
        self.pauses = KeptPauses(self.values)
        self.gates = ManagedGates(self.maps, self.pauses, self, ask_server=self._ask_server)

    def holders(self, point: Point) -> Sequence[Holder]:
        return self.inhibited.get(point, [])

    def _ask_server(self, deployment: str) -> None:
        self.asked.append(deployment)
        if self.answer is not None:
            raise self.answer
        if self.sends is not None:
            self.maps.set_server(DEPLOYMENT, made(DEPLOYMENT, **self.sends))

    def decide(self, point: Point = Point.INSTALL, **changes: Any) -> Verdict:
        return self.gates.decide(point, record_at(point, **changes))


def record_at(point: Point, *, paused: bool = False, **changes: Any) -> Record:
    state = PAUSE_AT[point] if paused else GATE_AT[point]
    record = Record(id=DEPLOYMENT, mode=Mode.MANAGED, state=state, where="there", boot_id="boot")
    return replace(record, **changes)


def inhibit(desk: Desk, point: Point) -> None:
    desk.inhibited[point] = [Holder(who="kiosk", why="a customer", until=7.0)]


def pause(desk: Desk, point: Point) -> None:
    desk.pauses.ask([point], DEPLOYMENT, Pause(who="ann", why="lunch"))


def local(action: str) -> Any:
    return lambda desk, point: desk.maps.set_local(text_of(APPLICATION, **{point.value: action}))


def server(action: str) -> Any:
    return lambda desk, point: desk.maps.set_server(DEPLOYMENT, made(DEPLOYMENT, **{point.value: action}))


# --- the table of the module, row by row

OPEN, HOLD, REFUSE = Open, Hold, Refuse
TABLE = {
    "inhibitor": (inhibit, HOLD, HOLD, OPEN),
    "pause": (pause, HOLD, OPEN, OPEN),
    "local map pauses": (local("pause"), HOLD, OPEN, OPEN),
    "server map pauses": (server("pause"), HOLD, HOLD, OPEN),
    "local map fails": (local("fail"), REFUSE, REFUSE, REFUSE),
    "server map fails": (server("fail"), REFUSE, REFUSE, REFUSE),
}


@pytest.mark.parametrize("point", MAPPED)
@pytest.mark.parametrize("name", TABLE)
def test_who_holds_and_what_is_let_through_by_hand(name: str, point: Point) -> None:
    holds, alone, passed, forced = TABLE[name]
    opened = frozenset({point})
    for changes, expected in (
        ({}, alone),
        ({"passes": opened}, passed),
        ({"passes": opened, "forced": opened}, forced),
        ({"passes": frozenset(Point) - opened}, alone),
    ):
        desk = Desk()
        holds(desk, point)
        assert isinstance(desk.decide(point, **changes), expected), changes


@pytest.mark.parametrize("holds", [inhibit, pause])
def test_a_download_can_be_held_as_well(holds: Any) -> None:
    desk = Desk()
    assert desk.decide(Point.DOWNLOAD) == Open()
    holds(desk, Point.DOWNLOAD)
    assert isinstance(desk.decide(Point.DOWNLOAD), Hold)


@pytest.mark.parametrize("name", TABLE)
def test_nobody_holds_at_a_point_that_is_not_theirs(name: str) -> None:
    desk = Desk()
    TABLE[name][0](desk, Point.INSTALL)
    assert desk.decide(Point.REBOOT) == Open()


def test_nobody_there_lets_all_through() -> None:
    desk = Desk()
    assert [desk.decide(point) for point in Point] == [Open()] * 4
    assert desk.values.writes == 0


def test_everybody_who_holds_is_named() -> None:
    desk = Desk()
    for holds in (inhibit, pause, local("pause"), server("pause")):
        holds(desk, Point.INSTALL)
    assert desk.decide(stops=frozenset({State.PAUSED_INSTALL})) == Hold(
        reasons=(
            "kiosk: a customer",
            "ann: lunch",
            "the one who began it: asked for this stop",
            f"an application: update control map {APPLICATION}, priority 0: pause",
            f"the server: update control map {DEPLOYMENT}, priority 0: pause",
        )
    )


def test_who_refuses_is_named() -> None:
    desk = Desk()
    local("fail")(desk, Point.INSTALL)
    assert desk.decide() == Refuse(reason=f"an application: update control map {APPLICATION}, priority 0: fail")


def test_holders_are_told_with_their_time_and_without_asking_anybody() -> None:
    desk = Desk()
    inhibit(desk, Point.INSTALL)
    local("pause")(desk, Point.INSTALL)
    before = desk.values.writes
    found = desk.gates.holders(Point.INSTALL, record_at(Point.INSTALL, paused=True))
    assert [holder.until for holder in found] == [7.0, 3600.0]
    assert desk.values.writes == before
    assert desk.asked == []


# --- over whom


def test_a_force_continue_opens_no_inhibitor_and_no_pause() -> None:
    for holds in (inhibit, pause):
        desk = Desk()
        holds(desk, Point.INSTALL)
        server("force_continue")(desk, Point.INSTALL)
        assert isinstance(desk.decide(), Hold)


def test_a_fail_ends_the_update_even_while_others_hold_it() -> None:
    desk = Desk()
    inhibit(desk, Point.INSTALL)
    server("fail")(desk, Point.INSTALL)
    assert isinstance(desk.decide(), Refuse)


def test_a_map_that_fails_once_has_done_so_even_while_others_hold() -> None:
    desk = Desk()
    inhibit(desk, Point.INSTALL)
    desk.maps.set_local(text_of(install={"action": "fail", "on_action_executed": "continue"}))
    assert isinstance(desk.decide(), Refuse)
    assert isinstance(desk.decide(id=OTHER), Hold)


def test_a_local_pause_of_higher_priority_that_is_let_through_does_not_hide_the_server() -> None:
    desk = Desk()
    desk.maps.set_local(text_of(APPLICATION, 9, install="pause"))
    server("pause")(desk, Point.INSTALL)
    verdict = desk.decide(passes=frozenset({Point.INSTALL}))
    assert verdict == Hold(reasons=(f"the server: update control map {DEPLOYMENT}, priority 0: pause",))


def test_a_map_of_another_deployment_has_no_say() -> None:
    desk = Desk()
    desk.maps.set_local(text_of(OTHER, install="fail"), deployment=OTHER)
    assert desk.decide() == Open()


# --- by hand


def test_a_continue_is_the_end_of_the_pause_that_was_asked_for() -> None:
    desk = Desk()
    pause(desk, Point.INSTALL)
    pause(desk, Point.COMMIT)
    desk.decide(passes=frozenset({Point.INSTALL}))
    assert desk.pauses.points(DEPLOYMENT) == {Point.COMMIT}


def test_a_pause_that_is_asked_for_after_the_continue_holds() -> None:
    desk = Desk()
    server("pause")(desk, Point.INSTALL)
    passes = frozenset({Point.INSTALL})
    assert isinstance(desk.decide(passes=passes), Hold)
    pause(desk, Point.INSTALL)
    desk.maps.set_server(DEPLOYMENT, None)
    assert desk.decide(paused=True, passes=passes) == Hold(reasons=("ann: lunch",))
    assert desk.decide(passes=passes) == Open()


def test_the_stop_of_whoever_began_it_holds() -> None:
    assert Desk().decide(stops=frozenset({State.PAUSED_INSTALL})) == Hold(
        reasons=("the one who began it: asked for this stop",)
    )
    assert Desk().decide(stops=frozenset({State.PAUSED_COMMIT})) == Open()


# --- pausing once


def test_a_map_that_pauses_once_does_not_use_that_up_while_an_inhibitor_holds() -> None:
    desk = Desk()
    inhibit(desk, Point.INSTALL)
    desk.maps.set_local(text_of(install=ONCE))
    for _ in range(3):
        assert isinstance(desk.decide(), Hold)
        desk.maps.set_local(text_of(OTHER, commit="pause"))
    desk.inhibited.clear()
    assert isinstance(desk.decide(paused=True), Hold)
    desk.maps.set_local(text_of(OTHER, commit="pause"))
    assert desk.decide(paused=True) == Open()
    assert desk.decide() == Open()


def test_a_map_that_continues_once_is_asked_once_when_a_pause_ends() -> None:
    """The pause and the gate behind it both ask; that is one question."""
    desk = Desk()
    desk.maps.set_local(text_of(install={"action": "continue", "on_action_executed": "pause"}))
    assert desk.decide(paused=True) == Open()
    assert desk.decide() == Open()


# --- the server


def test_a_server_that_sent_no_map_is_not_asked() -> None:
    desk = Desk()
    local("pause")(desk, Point.INSTALL)
    desk.decide()
    desk.maps.set_server(OTHER, made(OTHER, install="pause"))
    desk.decide()
    assert desk.asked == []


@pytest.mark.parametrize("point", Point)
def test_a_server_that_sent_a_map_is_asked_before_each_point(point: Point) -> None:
    desk = Desk(sends={"install": "pause", "reboot": "pause", "commit": "pause"})
    desk.maps.set_server(DEPLOYMENT, made(DEPLOYMENT))
    assert isinstance(desk.decide(point), Open if point is Point.DOWNLOAD else Hold)
    # It has just offered what is downloaded next, and its maps have no say in that.
    assert desk.asked == ([] if point is Point.DOWNLOAD else [DEPLOYMENT])


def test_the_server_is_not_asked_in_a_pause_for_its_timing_is_another() -> None:
    desk = Desk()
    server("pause")(desk, Point.INSTALL)
    desk.decide(paused=True)
    assert desk.asked == []


def test_an_expired_server_map_has_the_server_asked_too() -> None:
    desk = Desk(sends={})
    server("pause")(desk, Point.INSTALL)
    desk.now = 1e6
    assert desk.decide() == Open()
    assert desk.asked == [DEPLOYMENT]


def test_a_deployment_that_is_gone_is_refused() -> None:
    desk = Desk(answer=AbortedError("cannot go on: the server says that it was aborted"))
    server("continue")(desk, Point.INSTALL)
    assert desk.decide() == Refuse(reason="the server says that it was aborted")


@pytest.mark.parametrize(("action", "expected"), [("pause", Hold), ("force_continue", Open), ("fail", Refuse)])
def test_without_the_server_its_last_word_counts(action: str, expected: type[Verdict]) -> None:
    desk = Desk(answer=FetchError("cannot reach the server"))
    server(action)(desk, Point.INSTALL)
    assert isinstance(desk.decide(), expected)


def test_a_pause_of_the_server_holds_however_long_it_cannot_be_reached() -> None:
    desk = Desk(answer=FetchError("cannot reach the server"))
    server("pause")(desk, Point.COMMIT)
    desk.now = 1e8
    assert isinstance(desk.decide(Point.COMMIT), Hold)
    assert isinstance(desk.decide(Point.COMMIT, paused=True), Hold)


def test_a_pause_that_ended_is_not_begun_anew_by_a_map_that_pauses_once() -> None:
    desk = Desk(sends={"install": ONCE})
    desk.maps.set_server(DEPLOYMENT, made(DEPLOYMENT))
    assert isinstance(desk.decide(), Hold)
    desk.maps.set_local(text_of(OTHER, commit="pause"))
    assert desk.decide(paused=True) == Open()
    assert desk.decide() == Open()
    assert desk.asked == [DEPLOYMENT]


def test_a_gate_that_is_found_again_after_a_pause_was_answered_asks_the_server_again() -> None:
    desk = Desk()
    server("pause")(desk, Point.INSTALL)
    for number in (1, 2):
        assert isinstance(desk.decide(), Hold)
        assert len(desk.asked) == number


def test_a_continue_by_hand_has_the_server_asked_again() -> None:
    desk = Desk(sends={"install": "pause"})
    desk.maps.set_server(DEPLOYMENT, made(DEPLOYMENT))
    desk.decide()
    desk.sends = {"install": "continue"}
    assert desk.decide(passes=frozenset({Point.INSTALL})) == Open()


def test_what_cannot_be_kept_is_not_answered() -> None:
    desk = Desk()
    local("pause")(desk, Point.INSTALL)
    desk.values.fails = True
    with pytest.raises(StoreError):
        desk.decide()
    desk.answer = StoreError("cannot write the store: the test says so")
    desk.values.fails = False
    server("pause")(desk, Point.INSTALL)
    with pytest.raises(StoreError):
        desk.decide()
