"""The ordinary ways of an update, on: restarts, where it waits, its limits, and the memory of it."""

import pytest
from client_device import BROKEN, NEW, OLD, TRIES, A, B, When
from client_rig import HALF_PROVIDES, NEW_PROVIDES, OLD_PROVIDES, Rig, artifact
from client_ways import STANDALONE, begin, module, rebooted, recovered, rig, said, trace

from bistable.client.deployment.engine import Engine
from bistable.client.errors import BusyError, NotBootedError, NothingToDoError, StoreError, UsageError
from bistable.client.machine import LOOP_LIMIT, Mark, State
from bistable.client.model import Mode, Point, RebootNeed
from bistable.client.store import Store

__all__ = ["rig"]


# --- boots


def test_an_update_that_was_never_booted_is_never_committed(rig: Rig) -> None:
    begin(rig, STANDALONE)
    for _ in range(LOOP_LIMIT + 5):
        for act in ("commit", "resume"):
            with pytest.raises(NotBootedError, match="the device has to be rebooted first"):
                said(rig, act)
    assert "ArtifactCommit" not in trace(rig)
    # All that asking was no step of the update: it has not gone in circles.
    rig.device.reboot()
    ended = said(rig, "commit").ended
    assert ended is not None
    assert ended.result == "success"


@pytest.mark.parametrize("mode", list(Mode))
def test_a_commit_before_the_reboot_was_even_asked_for_is_refused(rig: Rig, mode: Mode) -> None:
    begin(rig, mode)
    rig.device.pending = False
    rig.change_record(mark=Mark.FRESH)
    calls = len(rig.recorder.calls)
    with pytest.raises(NotBootedError):
        said(rig, "commit")
    assert "boot activate b" not in rig.recorder.calls[calls:]


@pytest.mark.parametrize("mode", list(Mode))
def test_an_image_that_does_not_come_up_ends_in_a_failure(rig: Rig, mode: Mode) -> None:
    rig.world.artifact = artifact(image=BROKEN)
    begin(rig, mode)
    rig.device.reboot()
    ended = recovered(rig).ended
    assert ended is not None
    assert ended.result == "failure"
    assert rig.device.running == A
    assert rig.device.asked == 1
    assert rig.provides() == OLD_PROVIDES


def test_a_boot_loader_that_falls_back_in_a_pause_ends_the_update(rig: Rig) -> None:
    begin(rig, STANDALONE)
    rig.device.reboot()
    recovered(rig)
    rig.device.images[B] = BROKEN
    rig.device.lose_power()
    stand = recovered(rig)
    assert stand.ended is not None
    assert stand.ended.result == "failure"
    assert stand.trouble is not None
    assert "the boot loader went back to what ran before" in stand.trouble.what
    assert rig.device.asked == 1


def test_however_often_the_power_goes_in_a_pause_before_the_commit_the_update_stays(rig: Rig) -> None:
    begin(rig, STANDALONE)
    rig.device.reboot()
    for _ in range(LOOP_LIMIT + TRIES):
        stand = recovered(rig)
        assert stand.record is not None
        assert stand.record.state is State.PAUSED_COMMIT
        rig.device.lose_power()
    ended = said(rig, "commit").ended
    assert ended is not None
    assert ended.result == "success"


def test_a_module_that_was_rebooted_by_accident_is_not_rebooted_again(rig: Rig) -> None:
    module(rig, RebootNeed.AUTOMATIC)
    rig.world.holds = {Point.REBOOT}
    begin(rig)
    rig.device.lose_power()
    ended = said(rig, "resume").ended
    assert ended is not None
    assert ended.result == "success"
    assert rig.device.asked == 0


def test_a_module_that_was_rebooted_by_accident_is_rebooted_when_it_is_undone(rig: Rig) -> None:
    module(rig, RebootNeed.AUTOMATIC)
    rig.world.holds = {Point.REBOOT}
    begin(rig)
    rig.device.lose_power()
    assert rig.device.module.running == NEW
    said(rig, "abort")
    rebooted(rig)
    assert rig.device.module.running == OLD
    assert rig.results() == ["aborted"]


# --- stops


@pytest.mark.parametrize(
    "stop",
    [
        State.PAUSED_DOWNLOAD,
        State.PAUSED_INSTALL,
        State.PAUSED_COMMIT,
        State.AFTER_COMMIT,
        State.CLEANUP,
    ],
)
def test_a_stop_stops_once_and_survives_whatever_comes(rig: Rig, stop: State) -> None:
    stand = begin(module(rig), STANDALONE, frozenset({stop}))
    if stand.record is not None and stand.record.state is not stop:
        stand = said(rig, "commit")
    for _ in range(LOOP_LIMIT + 5):
        rig.device.lose_power()
        stand = recovered(rig)
        assert stand.record is not None
        assert stand.record.state is stop
    stand = said(rig, "resume")
    if stand.record is not None:
        stand = said(rig, "commit")
    assert stand.ended is not None
    assert stand.ended.result == "success"


def test_a_stop_on_the_way_back_is_lifted_by_saying_it_again(rig: Rig) -> None:
    stand = begin(module(rig), STANDALONE, frozenset({State.ROLLBACK}))
    stand = said(rig, "rollback")
    assert stand.record is not None
    assert stand.record.state is State.ROLLBACK
    ended = said(rig, "rollback").ended
    assert ended is not None
    assert ended.result == "rolled-back"


# --- other artifacts


@pytest.mark.parametrize("mode", list(Mode))
def test_an_empty_artifact_changes_what_is_provided_and_nothing_else(rig: Rig, mode: Mode) -> None:
    rig.world.artifact = artifact(None)
    ended = begin(rig, mode).ended
    assert ended is not None
    assert ended.result == "success"
    assert trace(rig) == ["Download_Enter", "Download_Leave"]
    assert rig.provides() == NEW_PROVIDES


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (artifact(device="boat"), "unsuitable"),
        (artifact("brick"), "module"),
        (artifact()[:-2000], "artifact"),
        (b"what is this", "artifact"),
    ],
)
def test_what_cannot_be_installed_ends_before_anything_is_touched(rig: Rig, content: bytes, code: str) -> None:
    rig.world.artifact = content
    stand = begin(rig)
    assert stand.ended is not None
    assert stand.ended.result == "failure"
    assert stand.trouble is not None
    assert stand.trouble.code == code
    assert "payload ArtifactInstall" not in rig.trace
    assert rig.device.next_boot() == A
    assert rig.provides() == OLD_PROVIDES


def test_a_device_whose_type_is_not_known_takes_nothing(rig: Rig) -> None:
    rig.world.device_type = None
    stand = begin(rig)
    assert stand.trouble is not None
    assert stand.trouble.code == "unsuitable"


# --- what cannot be asked for


@pytest.mark.parametrize("act", ["resume", "commit", "rollback", "abort"])
def test_without_an_update_there_is_nothing_to_do(rig: Rig, act: str) -> None:
    with pytest.raises(NothingToDoError, match="there is no update in progress"):
        said(rig, act)
    assert recovered(rig).record is None


def test_one_update_at_a_time(rig: Rig) -> None:
    rig.world.holds = {Point.INSTALL}
    begin(rig)
    with pytest.raises(BusyError, match="another update is in progress, in the state paused-before-install"):
        begin(rig)


def test_a_commit_that_is_too_early_is_refused(rig: Rig) -> None:
    rig.world.holds = {Point.INSTALL}
    begin(rig)
    with pytest.raises(UsageError, match="cannot commit: the update is in the state paused-before-install"):
        said(rig, "commit")


# --- limits


def test_an_update_that_goes_in_circles_is_ended_without_any_more_calls(rig: Rig) -> None:
    rig.world.holds = {Point.REBOOT}
    begin(module(rig, RebootNeed.AUTOMATIC))
    rig.change_record(transitions=LOOP_LIMIT)
    calls = trace(rig)
    stand = said(rig, "resume")
    assert stand.trouble is not None
    assert stand.trouble.code == "loop"
    assert trace(rig) == calls
    assert rig.provides() == HALF_PROVIDES
    assert rig.record() is None


def test_a_committed_update_that_goes_in_circles_stays_what_it_is(rig: Rig) -> None:
    begin(module(rig), STANDALONE, frozenset({State.AFTER_COMMIT}))
    said(rig, "commit")
    rig.change_record(transitions=LOOP_LIMIT)
    assert said(rig, "resume").ended is not None
    assert rig.provides() == NEW_PROVIDES


def test_pauses_do_not_count_against_the_loop_limit(rig: Rig) -> None:
    rig.world.holds = {Point.INSTALL}
    begin(module(rig))
    for _ in range(100):
        rig.change_record(passes=frozenset())
        rig.world.holds = {Point.INSTALL}
        rig.change_record(state=State.GATE_INSTALL)
        assert recovered(rig).record is not None
    ended = said(rig, "resume").ended
    assert ended is not None
    assert ended.result == "success"


def test_what_ends_the_process_in_a_state_every_time_does_not_do_so_for_ever(rig: Rig) -> None:
    rig.world.holds = {Point.INSTALL}
    begin(module(rig))
    rig.change_record(state=State.DOWNLOAD, transitions=0)
    tries, record = 0, rig.record()
    while record is not None and record.state is State.DOWNLOAD and tries < 2 * LOOP_LIMIT:
        # After the counting and the Enter scripts, and so in the download itself.
        rig.recorder.cut = (len(rig.recorder.calls) + 2, When.BEFORE)
        rig.do(Engine.recover)
        rig.device.lose_power()
        tries, record = tries + 1, rig.record()
    assert recovered(rig).ended is not None
    assert tries == LOOP_LIMIT + 1
    assert rig.results() == ["failure"]
    assert rig.provides() == OLD_PROVIDES


# --- the store


def test_without_its_memory_the_client_calls_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.world.holds = {Point.INSTALL}
    begin(module(rig))
    calls = trace(rig)

    def full(self: Store, text: str) -> None:
        raise StoreError("cannot write the store: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save_record", full)
        with pytest.raises(StoreError, match="the disk is full"):
            said(rig, "resume")
    assert trace(rig) == calls
    ended = said(rig, "resume").ended
    assert ended is not None
    assert ended.result == "success"


def test_a_record_that_cannot_be_read_is_an_error_and_stays(rig: Rig) -> None:
    Store.save_record(rig.kept(), "{")
    for act in ("resume", "commit", "rollback", "abort"):
        with pytest.raises(StoreError, match="cannot read the record"):
            said(rig, act)
    assert rig.kept().record() == "{"


def test_a_health_check_goes_on_with_what_is_left_of_its_deadline(rig: Rig) -> None:
    begin(module(rig), STANDALONE)
    record = rig.record()
    assert record is not None
    assert record.check_seconds == 1.0
    rig.change_record(state=State.CHECK)
    recovered(rig)
    record = rig.record()
    assert record is not None
    assert record.check_seconds == 2.0


def test_an_error_is_not_kept_before_the_state_that_it_leads_to(rig: Rig) -> None:
    """Else a power cut between the two leaves an update that ends well, and with an error."""
    rig.world.fails = {"health"}
    kept: list[tuple[State, bool]] = []
    rig.world.holds = {Point.INSTALL}
    begin(module(rig))
    real = Store.save_record

    def watched(self: Store, text: str) -> None:
        real(self, text)
        record = rig.record()
        assert record is not None
        kept.append((record.state, record.failed))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "save_record", watched)
        said(rig, "resume")
    assert (State.CHECK, True) not in kept
    assert (State.ROLLBACK, True) in kept
