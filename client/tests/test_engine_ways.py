"""The ordinary ways of an update: what is called in which order, and what failures and aborts come to."""

import pytest
from client_device import OLD, A, B
from client_rig import HALF_PROVIDES, NEW_PROVIDES, OLD_PROVIDES, Rig
from client_ways import MANAGED, STANDALONE, begin, module, rebooted, recovered, rig, said, trace

from bistable.client.errors import UsageError
from bistable.client.machine import PAUSES, Mark, State
from bistable.client.model import Mode, Point, RebootNeed

__all__ = ["rig"]


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
