"""Wherever the process is killed or the power is lost, an update comes to a legal end, and nothing needless is lost."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import client_rig
import pytest
from client_device import BROKEN, NEW, OLD, A, B, Loss, Recorder, When
from client_rig import HALF_PROVIDES, NEW_PROVIDES, OLD_PROVIDES, VALID_STATUSES, Rig, Scenario

from bistable.client.deployment.endings import WAY_BACK
from bistable.client.deployment.engine import ENDING
from bistable.client.machine import Mark, Record, State
from bistable.client.model import Mode, Point, RebootNeed


@pytest.fixture
def memory() -> Iterator[Path]:
    with client_rig.memory() as directory:
        yield directory


# --- the scenarios

KINDS = {
    "slots": {"kind": "rootfs-image"},
    "module": {"kind": "mod"},
    "custom": {"kind": "mod", "need": RebootNeed.CUSTOM},
    "automatic": {"kind": "mod", "need": RebootNeed.AUTOMATIC},
}
FAILURE = frozenset({"failure"})
EVENTS = {
    "success": {},
    "install fails": {"fails": frozenset({"ArtifactInstall"}), "ends": FAILURE},
    "restart is not seen": {"fails": frozenset({"ArtifactVerifyReboot"}), "ends": FAILURE | {"success"}},
    "unhealthy": {"fails": frozenset({"health"}), "ends": FAILURE},
    "commit fails": {"fails": frozenset({"ArtifactCommit"}), "ends": FAILURE},
    "undone on trial": {
        "holds": frozenset({Point.COMMIT}),
        "answers": {State.PAUSED_COMMIT: "rollback"},
        "ends": frozenset({"rolled-back"}),
    },
    "aborted before the reboot": {
        "holds": frozenset({Point.REBOOT}),
        "answers": {State.PAUSED_REBOOT: "abort"},
        "ends": frozenset({"aborted", "success"}),
    },
    "paused everywhere, power lost in each": {"holds": frozenset(Point), "loses_power_in_pauses": True},
    "paused everywhere, power lost in each, undone on trial": {
        "holds": frozenset(Point),
        "loses_power_in_pauses": True,
        "answers": {State.PAUSED_COMMIT: "abort"},
        "ends": frozenset({"aborted"}),
    },
}
MODES = {Mode.MANAGED: "managed", Mode.STANDALONE: "standalone"}

SCENARIOS = [
    Scenario(name=f"{word} {kind}: {event}", mode=mode, **KINDS[kind], **EVENTS[event])  # type: ignore[arg-type]
    for mode, word in MODES.items()
    for kind in KINDS
    for event in EVENTS
]
SCENARIOS += [
    Scenario(name=f"{word} {name}", mode=mode, **what)  # type: ignore[arg-type]
    for mode, word in MODES.items()
    for name, what in {
        "image that does not come up": {"kind": "rootfs-image", "image": BROKEN, "ends": FAILURE},
        "download fails": {"kind": "rootfs-image", "fails": frozenset({"Download"}), "ends": FAILURE},
        "empty": {"kind": "empty"},
        "module without rollback": {"kind": "mod", "rollback": False},
        "module without rollback: install fails": {
            "kind": "mod",
            "rollback": False,
            "fails": frozenset({"ArtifactInstall"}),
            "ends": FAILURE,
        },
        "aborted before the installation": {
            "kind": "mod",
            "holds": frozenset({Point.INSTALL}),
            "answers": {State.PAUSED_INSTALL: "abort"},
            "ends": frozenset({"aborted"}),
        },
        "stopped wherever that can be": {
            "kind": "rootfs-image",
            "stops": frozenset(
                {State.PAUSED_DOWNLOAD, State.PAUSED_INSTALL, State.PAUSED_REBOOT, State.AFTER_COMMIT, State.CLEANUP}
            ),
        },
        "stopped on the way back": {
            "kind": "rootfs-image",
            "fails": frozenset({"health"}),
            "stops": frozenset({State.ROLLBACK, State.FAILURE}),
            "ends": FAILURE,
        },
    }.items()
]
NAMES = [scenario.name for scenario in SCENARIOS]
QUICK = [
    one
    for one in SCENARIOS
    if one.name
    in {
        *(f"{word} slots: {event}" for word in MODES.values() for event in ("success", "unhealthy", "undone on trial")),
        *(f"managed {kind}: {event}" for kind in ("custom", "automatic") for event in ("success", "commit fails")),
        "managed slots: paused everywhere, power lost in each",
        "managed automatic: paused everywhere, power lost in each, undone on trial",
        "managed module: install fails",
        "managed image that does not come up",
        "managed aborted before the installation",
        "standalone stopped wherever that can be",
        "standalone module without rollback",
        "standalone empty",
    }
]
"""The others show the same places of the code in another order; they are swept when there is time."""


# --- what must be true at the end


def check(rig: Rig, scenario: Scenario, full: Rig | None = None) -> None:
    """Check the end of an update; `full` is the same one without any cut."""
    results = rig.results()
    _check_cut(rig)
    if full is not None and rig.cut_in is None and not results:
        assert "payload Download" not in rig.trace
        return
    assert rig.record() is None
    assert len(results) == 1
    _check_result(rig, scenario, results[0], full)
    _check_device(rig, scenario, results[0])
    _check_calls(rig)
    if full is not None:
        assert rig.device.asked <= full.device.asked + rig.device.losses, "a needless reboot"
        if rig.device.losses == full.device.losses and results == full.results() and not _may_cost_the_update(rig):
            assert rig.device.asked == full.device.asked


REMEMBERED: dict[str, Callable[[Record], bool]] = {
    "boot forbid b": lambda record: record.target == B,
    "payload Download": lambda record: record.offer is not None,
    "payload ArtifactInstall": lambda record: record.state is State.INSTALL and record.install_boot_id is not None,
    "payload ArtifactReboot": lambda record: record.state is State.REBOOT and record.mark is Mark.STARTED,
    "reboot": lambda record: record.mark is Mark.STARTED,
    "payload ArtifactCommit": lambda record: record.state is State.COMMIT and record.mark is Mark.STARTED,
    "payload ArtifactRollback": lambda record: record.state is State.ROLLBACK,
    "payload ArtifactRollbackReboot": lambda record: record.mark is Mark.STARTED,
    "payload Cleanup": lambda record: record.state is State.CLEANUP,
}
"""Call -> what the store holds before it is made."""


def _check_cut(rig: Rig) -> None:
    """What the store holds is of one moment: provides change with the state, and an error comes with what follows."""
    cut = rig.cut_in
    if cut is None or rig.recorder.cut is None:
        return
    remembered = REMEMBERED.get(rig.recorder.calls[rig.recorder.cut[0]])
    assert remembered is None or remembered(cut), "a step is taken before it is remembered"
    if cut.state not in {*WAY_BACK, *ENDING, State.AFTER_COMMIT}:
        assert not cut.failed
    if not cut.inconsistent:
        assert rig.provided_in == (NEW_PROVIDES if cut.committed else OLD_PROVIDES)


def _check_result(rig: Rig, scenario: Scenario, result: str, full: Rig | None) -> None:
    allowed = set(scenario.ends) if full is None else set(full.results())
    if _may_cost_the_update(rig):
        allowed.add("failure")
    if full is not None and "aborted" in allowed | scenario.ends:
        allowed |= scenario.ends
    assert result in allowed, rig.finished[-1].trouble
    last = rig.finished[-1]
    if result == "success":
        assert last.committed
        assert rig.provides() == NEW_PROVIDES
    else:
        assert not last.committed
        begun = "payload ArtifactInstall" in rig.trace or _may_cost_the_update(rig)
        undone = scenario.rollback or not begun
        assert rig.provides() in ([OLD_PROVIDES] if undone else [OLD_PROVIDES, HALF_PROVIDES])
        assert scenario.fails or last.aborted or last.undo or last.trouble
    final = [status for status in rig.statuses if status in {"success", "failure"}]
    assert set(final) == {"success" if result == "success" else "failure"}
    assert rig.statuses[-len(final) :] == final, "the end is told before it is reached"
    assert set(rig.statuses) <= VALID_STATUSES


def _may_cost_the_update(rig: Rig) -> bool:
    """Nothing but these is lost: what was being installed, and a download that only the ended command could do."""
    cut = rig.cut_in
    if cut is None:
        return False
    if cut.state is State.INSTALL:
        return cut.install_boot_id is not None
    return cut.mode is Mode.STANDALONE and cut.state in {State.GATE_DOWNLOAD, State.DOWNLOAD}


def _check_device(rig: Rig, scenario: Scenario, result: str) -> None:
    device, new = rig.device, result == "success" and scenario.kind != "empty"
    if scenario.kind == "mod":
        assert device.module.tree is None
        if result == "success" or scenario.rollback:
            assert device.module.installed == device.module.running == (NEW if new else OLD)
        return
    assert device.running == (B if new else A)
    assert device.running in device.memory.good
    assert device.next_boot() == device.running
    assert device.images[device.running] == (NEW if new else OLD)


def _check_calls(rig: Rig) -> None:
    calls = list(enumerate(rig.recorder.calls))
    cut, when = rig.recorder.cut or (None, None)
    if when is When.BEFORE:
        calls = [call for call in calls if call[0] != cut]
    names = [name for _, name in calls]
    for name in {name for name in names if name.endswith("_Enter") and "Download" not in name}:
        first = names.index(name)
        interrupted = (cut, when) in {(first, When.AFTER), (first + 1, When.BEFORE)}
        assert names.count(name) <= 1 + interrupted, f"{name} ran again"
    if "payload ArtifactRollback" in names:
        begun = names.index("payload ArtifactRollback")
        # Where it is remembered that the installation begins now, nobody can know whether it did.
        known = "payload ArtifactInstall" in rig.recorder.calls[:begun] or _may_cost_the_update(rig)
        assert known, "what was not installed was rolled back"
    if "payload ArtifactCommit" in names:
        assert "health" in names[: names.index("payload ArtifactCommit")]


# --- the sweep


def play(scenario: Scenario, directory: Path, cut: tuple[int, When] | None = None, loss: Loss = Loss.PROCESS) -> Rig:
    shutil.rmtree(directory, ignore_errors=True)
    rig = scenario.rig(directory)
    rig.recorder = Recorder(cut=cut)
    scenario.play(rig, loss)
    return rig


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_without_a_cut_it_ends_as_it_should(scenario: Scenario, memory: Path) -> None:
    rig = play(scenario, memory / "store")
    assert rig.results()[0] in scenario.ends
    check(rig, scenario)
    rig.close()


def sweep(scenario: Scenario, memory: Path, whens: tuple[When, ...], loss: Loss) -> None:
    full = play(scenario, memory / "full")
    for number, name in enumerate(full.recorder.calls):
        for when in whens:
            rig = play(scenario, memory / "store", (number, when), loss)
            try:
                check(rig, scenario, full)
            except AssertionError as e:
                e.add_note(f"{loss.value} {when.value} call {number}, {name}; the store had {rig.cut_in}")
                e.add_note("\n".join(rig.recorder.calls))
                raise
            finally:
                rig.close()
    full.close()


@pytest.mark.parametrize("loss", list(Loss), ids=[loss.value for loss in Loss])
@pytest.mark.parametrize("scenario", QUICK, ids=[one.name for one in QUICK])
def test_a_cut_before_any_call_costs_nothing_it_need_not(scenario: Scenario, loss: Loss, memory: Path) -> None:
    sweep(scenario, memory, (When.BEFORE,), loss)


@pytest.mark.slow
@pytest.mark.parametrize("loss", list(Loss), ids=[loss.value for loss in Loss])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_a_cut_before_or_after_any_call_costs_nothing_it_need_not(scenario: Scenario, loss: Loss, memory: Path) -> None:
    sweep(scenario, memory, (When.BEFORE, When.AFTER), loss)
