"""The table of states: everything can be reached and left, and nothing is undone that was not done."""

import pytest

from bistable.client.deployment.engine import ACTIONS, WATCHED
from bistable.client.machine import (
    GATES,
    LOOP_LIMIT,
    ON_TRIAL,
    PAUSES,
    RECOVERY,
    STATUSES,
    TABLE,
    UNCOUNTED,
    Event,
    State,
    TransitionError,
    step,
)
from bistable.client.model import Point

IGNORING_ERRORS = {State.ROLLBACK_REBOOT, State.FAILURE, State.CLEANUP, State.REPORT}
"""On the way back and at the end nothing stands in the way: what fails there is logged."""

BEFORE_INSTALL = {
    State.GATE_DOWNLOAD,
    State.PAUSED_DOWNLOAD,
    State.DOWNLOAD,
    State.GATE_INSTALL,
    State.PAUSED_INSTALL,
}
PERMANENT = {State.AFTER_COMMIT}
STATES = [state for state in State if state is not State.IDLE]


def ways(state: State) -> dict[Event, State]:
    return {event: following for (at, event), following in TABLE.items() if at is state}


def reached_from(start: State, *, without: frozenset[Event] = frozenset()) -> set[State]:
    found, todo = {start}, [start]
    while todo:
        for event, following in ways(todo.pop()).items():
            if event not in without and following not in found:
                found.add(following)
                todo.append(following)
    return found


def test_every_state_can_be_reached() -> None:
    assert reached_from(State.IDLE) == set(State)


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_way_to_the_end(state: State) -> None:
    assert State.IDLE in reached_from(state, without=frozenset({Event.LOOPED}))


@pytest.mark.parametrize("state", STATES)
def test_every_state_that_does_something_has_a_way_for_its_failure(state: State) -> None:
    if state in PAUSES or state in IGNORING_ERRORS:
        return
    assert Event.FAILED in ways(state)


@pytest.mark.parametrize("state", [state for state in State if state in IGNORING_ERRORS])
def test_a_state_without_a_way_for_its_failure_goes_on_as_if_it_were_done(state: State) -> None:
    assert Event.FAILED not in ways(state)
    assert Event.DONE in ways(state)


@pytest.mark.parametrize("state", list(PAUSES))
def test_a_pause_goes_on_at_its_gate_and_can_be_aborted(state: State) -> None:
    gate = {point: gate for gate, point in GATES.items()}[PAUSES[state]]
    # Before the commit it is asked again first whether the system is healthy.
    assert ways(state)[Event.CONTINUED] is (State.CHECK if gate is State.GATE_COMMIT else gate)
    assert ways(state)[Event.ABORTED] is ways(gate)[Event.ABORTED]
    assert ways(gate)[Event.HELD] is state


def test_each_point_has_one_gate_and_one_pause() -> None:
    assert (
        sorted(GATES.values(), key=list(Point).index) == sorted(PAUSES.values(), key=list(Point).index) == list(Point)
    )


@pytest.mark.parametrize("state", [state for state in State if state in BEFORE_INSTALL])
@pytest.mark.parametrize("event", [Event.ABORTED, Event.FAILED, Event.LOOPED])
def test_before_anything_is_installed_an_end_is_clean(state: State, event: Event) -> None:
    if (following := ways(state).get(event)) is not None:
        end = reached_from(following, without=frozenset({Event.STARTED}))
        assert end <= {State.CLEANUP, State.REPORT, State.IDLE}


def test_what_comes_before_the_installation_is_all_that_can_come_before_it() -> None:
    others = {state for state in State if State.INSTALL in ways(state).values()}
    assert others == {State.GATE_INSTALL}
    assert {at for (at, _), following in TABLE.items() if following in BEFORE_INSTALL} <= BEFORE_INSTALL | {State.IDLE}


@pytest.mark.parametrize("state", [*PERMANENT, State.CLEANUP, State.REPORT])
def test_what_is_permanent_is_never_rolled_back(state: State) -> None:
    ending = {State.AFTER_COMMIT, State.CLEANUP, State.REPORT, State.IDLE}
    assert set(ways(state).values()) <= ending
    assert Event.ABORTED not in ways(state)


@pytest.mark.parametrize("state", [state for state in State if state in ON_TRIAL])
def test_a_trial_can_be_aborted_and_fails_into_a_rollback(state: State) -> None:
    assert ways(state)[Event.ABORTED] is State.ROLLBACK
    assert ways(state)[Event.FAILED] is State.ROLLBACK


def test_only_the_commit_leads_to_what_is_permanent() -> None:
    assert [at for (at, _), following in TABLE.items() if following is State.AFTER_COMMIT] == [State.COMMIT]
    assert ways(State.GATE_COMMIT)[Event.OPENED] is State.COMMIT
    assert [at for (at, _), following in TABLE.items() if following is State.COMMIT] == [State.GATE_COMMIT]


def test_every_way_to_the_commit_comes_through_the_checks() -> None:
    into_gate = {at for (at, _), following in TABLE.items() if following is State.GATE_COMMIT}
    assert into_gate == {State.CHECK}


@pytest.mark.parametrize("state", STATES)
def test_an_update_in_circles_is_ended_wherever_it_is(state: State) -> None:
    if state is not State.REPORT:
        assert ways(state)[Event.LOOPED] is State.REPORT


def test_no_way_without_a_repetition_comes_near_the_loop_limit() -> None:
    def longest(state: State, seen: frozenset[State]) -> int:
        counted = state not in UNCOUNTED
        following = {after for event, after in ways(state).items() if event is not Event.LOOPED and after not in seen}
        return counted + max((longest(after, seen | {after}) for after in following), default=0)

    # Each reboot on the way costs one more, for what is found after it.
    assert longest(State.IDLE, frozenset({State.IDLE})) + 4 <= LOOP_LIMIT / 2


def test_pauses_and_gates_do_not_count() -> None:
    assert {*PAUSES, *GATES} <= UNCOUNTED


def test_every_state_but_pauses_has_an_action_and_all_have_a_recovery() -> None:
    assert set(ACTIONS) == set(STATES) - set(PAUSES)
    assert set(RECOVERY) == set(STATES)


def test_a_watchdog_watches_over_trials_only() -> None:
    assert ON_TRIAL - set(PAUSES) >= WATCHED


def test_every_status_is_one_that_a_mender_server_takes() -> None:
    from client_rig import VALID_STATUSES

    assert set(STATUSES.values()) <= VALID_STATUSES


def test_every_gate_has_a_status_for_what_it_opens() -> None:
    for gate in GATES:
        assert ways(gate)[Event.OPENED] in STATUSES


def test_values_are_what_stores_hold_and_stay_so() -> None:
    assert sorted(state.value for state in State) == [
        "after-commit",
        "check",
        "cleanup",
        "commit",
        "download",
        "failure",
        "gate-commit",
        "gate-download",
        "gate-install",
        "gate-reboot",
        "idle",
        "install",
        "paused-before-commit",
        "paused-before-download",
        "paused-before-install",
        "paused-before-reboot",
        "reboot",
        "report",
        "rollback",
        "rollback-reboot",
        "verify-reboot",
        "verify-rollback",
    ]


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(Event))
def test_a_step_is_what_the_table_says_or_an_error(state: State, event: Event) -> None:
    if (state, event) in TABLE:
        assert step(state, event) is TABLE[state, event]
        return
    with pytest.raises(TransitionError, match=f"cannot go on from {state.value}: {event.value} has no place there"):
        step(state, event)
