"""The ordinary ways of an update: what is called in which order, what is told, and where it waits."""

from collections.abc import Iterator

import pytest
from client_device import BROKEN, NEW, OLD, TRIES, A, B, When
from client_rig import HALF_PROVIDES, NEW_PROVIDES, OLD_PROVIDES, Rig, artifact, memory

from bistable.client.deployment.engine import Engine, Stand
from bistable.client.errors import BusyError, NotBootedError, NothingToDoError, StoreError, UsageError
from bistable.client.machine import LOOP_LIMIT, PAUSES, Mark, State
from bistable.client.model import Mode, Point, RebootNeed
from bistable.client.store import Store

MANAGED, STANDALONE = Mode.MANAGED, Mode.STANDALONE


@pytest.fixture
def rig() -> Iterator[Rig]:
    with memory() as directory:
        made = Rig(directory=directory)
        yield made
        made.close()


def begin(rig: Rig, mode: Mode = MANAGED, stops: frozenset[State] = frozenset()) -> Stand:
    stand = rig.do(lambda engine: engine.begin("there", name="one", mode=mode, stops=stops))
    assert stand is not None
    return stand


def recovered(rig: Rig) -> Stand:
    stand = rig.do(Engine.recover)
    assert stand is not None
    return stand


def said(rig: Rig, act: str) -> Stand:
    acts = {"resume": Engine.resume, "commit": Engine.commit, "rollback": Engine.rollback}
    stand = rig.do(acts.get(act, lambda engine: engine.abort("somebody said so")))
    assert stand is not None
    return stand


def rebooted(rig: Rig) -> Stand:
    assert rig.device.pending
    rig.device.reboot()
    return recovered(rig)


def module(rig: Rig, need: RebootNeed = RebootNeed.NONE, *, rollback: bool = True) -> Rig:
    rig.device.module.need, rig.device.module.rollback = need, rollback
    rig.world.artifact = artifact("mod")
    return rig


def trace(rig: Rig) -> list[str]:
    return [call.partition(" ")[2] for call in rig.trace]


# --- the order of the calls

BEGIN = ["Download_Enter", "Download", "SupportsRollback", "Download_Leave"]
INSTALL = ["ArtifactInstall_Enter", "ArtifactInstall", "NeedsArtifactReboot", "ArtifactInstall_Leave"]
VERIFY = ["ArtifactVerifyReboot", "ArtifactReboot_Leave"]
COMMIT = ["ArtifactCommit_Enter", "ArtifactCommit", "ArtifactCommit_Leave", "Cleanup"]
TRIAL = [*BEGIN, *INSTALL, "ArtifactReboot_Enter", "ArtifactReboot", *VERIFY]
"""What Mender's client 3.4.0 calls (recorded), without its second ArtifactReboot_Enter after a pause."""

BACK = [
    *("ArtifactRollback_Enter", "ArtifactRollback", "ArtifactRollback_Leave"),
    *("ArtifactRollbackReboot_Enter", "ArtifactRollbackReboot"),
    *("ArtifactVerifyRollbackReboot", "ArtifactRollbackReboot_Leave"),
    *("ArtifactFailure_Enter", "ArtifactFailure", "ArtifactFailure_Leave", "Cleanup"),
]


def test_a_managed_update_with_a_module_that_restarts_something(rig: Rig) -> None:
    assert begin(module(rig, RebootNeed.CUSTOM)).ended is not None
    assert trace(rig) == [*TRIAL, *COMMIT]
    assert rig.statuses == ["downloading", "installing", "rebooting", "installing", "success"]
    assert rig.device.asked == 0
    assert rig.provides() == NEW_PROVIDES


def test_a_managed_update_that_is_paused_everywhere(rig: Rig) -> None:
    """The calls are the same, and what is told is what a server of Mender's has always been told."""
    module(rig, RebootNeed.CUSTOM)
    rig.world.holds = set(Point)
    stand, waited = begin(rig), []
    while stand.record is not None:
        waited.append(stand.record.state)
        stand = said(rig, "resume")
    assert waited == list(PAUSES)
    assert trace(rig) == [*TRIAL, *COMMIT]
    assert rig.statuses == [
        "downloading",
        "pause_before_installing",
        "installing",
        "pause_before_rebooting",
        "rebooting",
        "pause_before_committing",
        "installing",
        "success",
    ]


def test_a_managed_update_whose_commit_is_refused_goes_all_the_way_back(rig: Rig) -> None:
    """As Mender's client 3.4.0 does it (recorded), with one ArtifactReboot_Enter."""
    rig.world.refuses = {Point.COMMIT}
    ended = begin(module(rig, RebootNeed.CUSTOM)).ended
    assert ended is not None
    assert ended.result == "aborted"
    assert trace(rig) == [*TRIAL, *BACK]
    assert rig.statuses == ["downloading", "installing", "rebooting", "failure"]
    assert rig.provides() == OLD_PROVIDES
    assert rig.device.module.running == OLD


def test_a_managed_update_of_the_root_file_system(rig: Rig) -> None:
    stand = begin(rig)
    assert stand.record is not None
    assert (stand.record.state, stand.record.mark) == (State.REBOOT, Mark.STARTED)
    ended = rebooted(rig).ended
    assert ended is not None
    assert ended.result == "success"
    assert trace(rig) == [*BEGIN, *INSTALL, "ArtifactReboot_Enter", "arm", *VERIFY, *COMMIT]
    assert rig.device.running == B
    assert rig.device.asked == 1


STANDALONE_BEGIN = [
    *("Download_Enter", "Download", "Download_Leave", "SupportsRollback"),
    *("ArtifactInstall_Enter", "ArtifactInstall", "ArtifactInstall_Leave", "NeedsArtifactReboot"),
]


def test_a_standalone_update_waits_for_its_commit(rig: Rig) -> None:
    stand = begin(module(rig), STANDALONE)
    assert stand.record is not None
    assert stand.record.state is State.PAUSED_COMMIT
    assert trace(rig) == STANDALONE_BEGIN
    assert rig.provides() == OLD_PROVIDES
    ended = said(rig, "commit").ended
    assert ended is not None
    assert ended.result == "success"
    assert trace(rig) == [*STANDALONE_BEGIN, *COMMIT]


def test_a_standalone_update_that_cannot_be_rolled_back_is_committed_at_once(rig: Rig) -> None:
    ended = begin(module(rig, RebootNeed.AUTOMATIC, rollback=False), STANDALONE).ended
    assert ended is not None
    assert ended.result == "success"
    assert trace(rig) == [*STANDALONE_BEGIN, *COMMIT]
    assert rig.device.asked == 0


def test_a_standalone_update_never_reboots_by_itself_nor_runs_what_belongs_to_it(rig: Rig) -> None:
    begin(rig, STANDALONE)
    assert not rig.device.pending
    rig.device.reboot()
    stand = recovered(rig)
    assert stand.record is not None
    assert stand.record.state is State.PAUSED_COMMIT
    assert said(rig, "commit").ended is not None
    assert not [call for call in trace(rig) if call.startswith("ArtifactReboot_")]
    assert rig.device.running == B


def test_a_standalone_rollback_right_after_the_reboot(rig: Rig) -> None:
    """Nobody said resume or commit before."""
    begin(rig, STANDALONE)
    rig.device.reboot()
    stand = said(rig, "rollback")
    assert stand.record is not None
    assert stand.record.state is State.ROLLBACK_REBOOT
    rig.device.reboot()
    ended = said(rig, "resume").ended
    assert ended is not None
    assert ended.result == "rolled-back"
    assert rig.device.running == A
    assert "ArtifactFailure" not in trace(rig)


def test_a_standalone_rollback_before_the_reboot_needs_none(rig: Rig) -> None:
    begin(rig, STANDALONE)
    ended = said(rig, "rollback").ended
    assert ended is not None
    assert ended.result == "rolled-back"
    assert rig.device.next_boot() == A


# --- failures


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("call", ["Download", "SupportsRollback", "Download_Enter", "Download_Leave", "fetch"])
def test_a_failure_before_the_installation_undoes_nothing(rig: Rig, mode: Mode, call: str) -> None:
    rig.world.fails = {call}
    ended = begin(module(rig), mode).ended
    assert ended is not None
    assert ended.result == "failure"
    # Mender's client asks this only after the download when it is led by hand; so it is no error of the download.
    assert ("Download_Error" in trace(rig)) is (mode is MANAGED or call != "SupportsRollback")
    assert not [name for name in trace(rig) if "Rollback_" in name or "Failure" in name or name == "ArtifactRollback"]
    assert rig.provides() == OLD_PROVIDES


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    "call",
    [
        "ArtifactInstall_Enter",
        "ArtifactInstall",
        "ArtifactInstall_Leave",
        "NeedsArtifactReboot",
        "health",
        "reach",
        "ArtifactCommit_Enter",
        "ArtifactCommit",
        "gate reboot",
        "gate commit",
    ],
)
def test_a_failure_from_the_installation_to_the_commit_is_rolled_back(rig: Rig, mode: Mode, call: str) -> None:
    if mode is STANDALONE and call == "gate reboot":
        pytest.skip("a module without a reboot has no such gate there")
    rig.world.fails = {call}
    stand = begin(module(rig, RebootNeed.CUSTOM), mode)
    if stand.record is not None:
        stand = said(rig, "commit")
    assert stand.ended is not None
    assert stand.ended.result == "failure"
    assert stand.trouble is not None
    assert "the test says so" in stand.trouble.what
    names = trace(rig)
    assert names.index("ArtifactRollback") < names.index("ArtifactFailure") < names.index("Cleanup")
    assert rig.provides() == OLD_PROVIDES
    assert rig.device.module.installed == OLD


@pytest.mark.parametrize("gate", ["gate download", "gate install"])
def test_a_gate_that_cannot_be_asked_before_the_installation_ends_it_cleanly(rig: Rig, gate: str) -> None:
    rig.world.fails = {gate}
    ended = begin(module(rig)).ended
    assert ended is not None
    assert ended.result == "failure"
    assert "ArtifactRollback" not in trace(rig)


@pytest.mark.parametrize("call", ["ArtifactReboot_Enter", "ArtifactReboot_Leave", "ArtifactVerifyReboot", "reboot"])
def test_a_failed_reboot_is_rolled_back(rig: Rig, call: str) -> None:
    rig.world.fails = {call}
    stand = begin(rig)
    while stand.record is not None:
        stand = rebooted(rig)
    assert stand.ended is not None
    assert stand.ended.result == "failure"
    assert rig.device.running == A
    assert rig.device.next_boot() == A
    assert "ArtifactReboot_Error" in trace(rig)


def test_what_fails_on_the_way_back_stops_nothing(rig: Rig) -> None:
    rig.world.fails = {
        "health",
        "ArtifactRollback_Enter",
        "ArtifactRollback_Leave",
        "ArtifactRollbackReboot_Enter",
        "ArtifactRollbackReboot_Leave",
        "ArtifactRollbackReboot",
        "ArtifactFailure_Enter",
        "ArtifactFailure",
        "ArtifactFailure_Leave",
        "Cleanup",
    }
    # Its own restart fails, and so what ran before is not seen to run: that is tried until the loop limit ends it.
    ended = begin(module(rig, RebootNeed.CUSTOM)).ended
    assert ended is not None
    assert ended.result == "failure"
    assert rig.provides() == HALF_PROVIDES


def test_a_module_that_cannot_be_rolled_back_leaves_an_inconsistent_name(rig: Rig) -> None:
    rig.world.fails = {"ArtifactInstall"}
    ended = begin(module(rig, rollback=False)).ended
    assert ended is not None
    assert ended.result == "failure"
    assert "ArtifactRollback" not in trace(rig)
    assert "ArtifactFailure" in trace(rig)
    assert rig.provides() == HALF_PROVIDES


def test_a_failed_rollback_leaves_an_inconsistent_name(rig: Rig) -> None:
    rig.world.fails = {"health", "ArtifactRollback"}
    assert begin(module(rig)).ended is not None
    assert rig.provides() == HALF_PROVIDES


def test_a_failure_after_the_commit_does_not_undo_it(rig: Rig) -> None:
    rig.world.fails = {"ArtifactCommit_Leave"}
    ended = begin(module(rig)).ended
    assert ended is not None
    assert ended.result == "failure"
    assert "ArtifactCommit_Error" in trace(rig)
    assert "ArtifactRollback" not in trace(rig)
    assert rig.provides() == {**NEW_PROVIDES, "artifact_name": "release-2_INCONSISTENT"}


# --- aborts


@pytest.mark.parametrize("point", [Point.DOWNLOAD, Point.INSTALL])
@pytest.mark.parametrize("mode", list(Mode))
def test_an_abort_before_the_installation_is_a_clean_stop(rig: Rig, point: Point, mode: Mode) -> None:
    rig.world.holds = {point}
    begin(rig, mode)
    before = trace(rig)
    stand = said(rig, "abort")
    assert stand.ended is not None
    assert stand.ended.result == "aborted"
    assert [name for name in trace(rig)[len(before) :] if name != "Cleanup"] == []
    assert rig.device.asked == 0
    assert not rig.device.pending
    assert rig.provides() == OLD_PROVIDES


@pytest.mark.parametrize("status", ["downloading", "installing"])
def test_a_server_that_aborts_before_the_installation_gets_a_clean_stop(rig: Rig, status: str) -> None:
    rig.world.aborts = {status}
    ended = begin(rig).ended
    assert ended is not None
    assert ended.result == "aborted"
    assert not [name for name in trace(rig) if "Rollback_" in name or name.startswith("ArtifactInstall")]
    assert rig.statuses[-1] == "failure"


def test_a_server_that_aborts_in_a_pause_is_listened_to(rig: Rig) -> None:
    rig.world.holds, rig.world.aborts = {Point.INSTALL}, {"pause_before_installing"}
    ended = begin(rig).ended
    assert ended is not None
    assert ended.result == "aborted"


def test_a_server_that_aborts_before_the_reboot_has_it_rolled_back_without_one(rig: Rig) -> None:
    rig.world.aborts = {"rebooting"}
    ended = begin(rig).ended
    assert ended is not None
    assert ended.result == "aborted"
    assert "ArtifactRollback" in trace(rig)
    assert rig.device.next_boot() == A
    assert not rig.device.pending


def test_what_cannot_be_rolled_back_cannot_be_aborted_by_hand(rig: Rig) -> None:
    module(rig, rollback=False)
    rig.world.holds = {Point.COMMIT}
    begin(rig)
    for act in ("abort", "rollback"):
        with pytest.raises(UsageError, match="what was installed cannot be undone"):
            said(rig, act)
    assert said(rig, "commit").ended is not None


@pytest.mark.parametrize("act", ["abort", "rollback"])
def test_a_commit_that_was_begun_is_not_undone(rig: Rig, act: str) -> None:
    """The power went after the boot loader was told, before that was remembered: it is committed."""
    rig.world.holds = {Point.COMMIT}
    begin(module(rig))
    rig.device.module.committed = True
    rig.change_record(state=State.COMMIT, mark=Mark.STARTED)
    with pytest.raises(UsageError, match="permanent, or about to be"):
        said(rig, act)
    ended = said(rig, "resume").ended
    assert ended is not None
    assert ended.result == "success"


def test_an_abort_of_an_interrupted_standalone_download_ends_it(rig: Rig) -> None:
    rig.world.holds = {Point.INSTALL}
    begin(rig, STANDALONE)
    rig.change_record(state=State.DOWNLOAD)
    ended = said(rig, "abort").ended
    assert ended is not None
    assert ended.result == "failure"
    assert "ArtifactRollback" not in trace(rig)


def test_an_abort_of_an_installation_that_had_not_begun_undoes_nothing(rig: Rig) -> None:
    rig.world.holds = {Point.INSTALL}
    begin(rig)
    rig.change_record(state=State.INSTALL, mark=Mark.READY)
    ended = said(rig, "abort").ended
    assert ended is not None
    assert ended.result == "aborted"
    assert "ArtifactRollback" not in trace(rig)


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
