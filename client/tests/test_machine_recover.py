"""Where an update goes on that is found in the store, for every state, mark, boot and slot."""

from dataclasses import replace
from itertools import product

import pytest

from bistable.client.machine import ON_TRIAL, PAUSES, RECOVERY, Facts, Mark, Record, State, recover
from bistable.client.model import Mode, SlotName

RECORD = Record(id="one", mode=Mode.MANAGED, state=State.DOWNLOAD, where="there", boot_id="here")
SAME, OTHER = "here", "elsewhere"
ALL = list(product(RECOVERY, Mark, Mode, (SAME, OTHER), (None, True, False), (None, SAME)))
KEPT = {
    State.GATE_INSTALL,
    State.GATE_REBOOT,
    State.AFTER_COMMIT,
    State.ROLLBACK,
    State.VERIFY_ROLLBACK,
    State.FAILURE,
    State.CLEANUP,
    State.REPORT,
    State.PAUSED_DOWNLOAD,
    State.PAUSED_INSTALL,
    State.PAUSED_REBOOT,
    State.VERIFY,
}


def found(state: State, **changes: object) -> Record:
    return replace(RECORD, state=state, **changes)  # type: ignore[arg-type]


def test_all_of_them_at_once() -> None:
    """Every combination has one answer, and it is the one that the rules give, written down a second time."""
    for state, mark, mode, boot, on_target, installed in ALL:
        record = found(state, mark=mark, mode=mode, install_boot_id=installed)
        expected = state
        if state in ON_TRIAL - {State.VERIFY} and on_target is False:
            expected = State.ROLLBACK
        elif state in {State.GATE_DOWNLOAD, State.DOWNLOAD} and mode is Mode.STANDALONE:
            expected = State.CLEANUP
        elif state is State.INSTALL and installed is not None:
            expected = State.ROLLBACK
        elif mark is Mark.STARTED and boot == OTHER and state is State.REBOOT:
            expected = State.VERIFY
        elif mark is Mark.STARTED and boot == OTHER and state is State.ROLLBACK_REBOOT:
            expected = State.VERIFY_ROLLBACK
        assert recover(record, Facts(boot_id=boot, on_target=on_target)) is expected, record


@pytest.mark.parametrize("state", [state for state in State if state in KEPT])
@pytest.mark.parametrize("on_target", [None, True, False])
def test_these_stay_what_they_are_whatever_happened(state: State, on_target: bool | None) -> None:
    for mark, boot in product(Mark, (SAME, OTHER)):
        assert recover(found(state, mark=mark), Facts(boot_id=boot, on_target=on_target)) is state


@pytest.mark.parametrize("state", list(PAUSES))
@pytest.mark.parametrize("boot", [SAME, OTHER])
def test_a_pause_stays_a_pause(state: State, boot: str) -> None:
    for mode in Mode:
        on_target = None if state is not State.PAUSED_COMMIT else True
        assert recover(found(state, mode=mode), Facts(boot_id=boot, on_target=on_target)) is state


def test_a_reboot_that_was_asked_for_is_not_one_that_happened() -> None:
    asked = found(State.REBOOT, mark=Mark.STARTED)
    assert recover(asked, Facts(boot_id=SAME, on_target=False)) is State.REBOOT
    assert recover(asked, Facts(boot_id=OTHER, on_target=True)) is State.VERIFY


def test_a_boot_nobody_asked_for_is_not_taken_for_the_reboot() -> None:
    assert recover(found(State.REBOOT), Facts(boot_id=OTHER, on_target=False)) is State.REBOOT


@pytest.mark.parametrize("state", [state for state in State if state in ON_TRIAL - {State.VERIFY}])
def test_a_boot_loader_that_fell_back_ends_the_trial(state: State) -> None:
    assert recover(found(state), Facts(boot_id=OTHER, on_target=False)) is State.ROLLBACK


def test_a_pause_before_the_reboot_does_not_mind_that_the_old_slot_runs() -> None:
    target = SlotName("b")
    assert (
        recover(found(State.PAUSED_REBOOT, target=target), Facts(boot_id=OTHER, on_target=False)) is State.PAUSED_REBOOT
    )


def test_an_installation_that_had_not_begun_is_done_again_and_one_that_had_is_undone() -> None:
    assert recover(found(State.INSTALL, mark=Mark.READY), Facts(boot_id=OTHER)) is State.INSTALL
    assert recover(found(State.INSTALL, install_boot_id=SAME), Facts(boot_id=SAME)) is State.ROLLBACK
