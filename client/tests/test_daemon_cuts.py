"""Wherever the process is killed or the power is lost: nobody who holds an update is passed by, whoever that is."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import client_rig
import pytest
from client_device import BROKEN, NEW, Loss, Recorder, When
from client_maps import APPLICATION, made, text_of
from client_rig import Scenario, World, artifact
from test_engine_cuts import check
from test_gates_engine import DEPLOYMENT, GatedRig

from bistable.client.deployment.engine import Engine, Stand
from bistable.client.deployment.gates import Holder
from bistable.client.deployment.pauses import Pause
from bistable.client.errors import AbortedError
from bistable.client.machine import PAUSES, State
from bistable.client.model import Mode, Point, RebootNeed
from bistable.client.server import TransientServerError

ENTERED = {
    State.DOWNLOAD: Point.DOWNLOAD,
    State.INSTALL: Point.INSTALL,
    State.REBOOT: Point.REBOOT,
    State.COMMIT: Point.COMMIT,
}
MAPPED = (Point.INSTALL, Point.REBOOT, Point.COMMIT)

INHIBITOR, PAUSE, LOCAL, SERVER = "inhibitor", "pause", "local map", "server map"


@dataclass(kw_only=True)
class HeldRig(GatedRig):
    """A device where somebody may hold every point. `held` is who still does."""

    held: dict[Point, list[str]] = field(default_factory=dict)
    fails_at: Point | None = None
    """Where a map says `fail` once nobody holds it any more."""
    gone: bool = False
    """The server says that there is no such deployment any more."""
    away: bool = False
    """The server cannot be asked."""
    asks: int = 0

    def engine(self) -> Engine:
        made_engine = super().engine()
        self._keep_up()
        return made_engine

    def begin_held(self) -> None:
        """Have everybody say what they want before the update begins."""
        if self._has(SERVER):
            self.maps.set_server(DEPLOYMENT, made(DEPLOYMENT, **self._said(SERVER)))
        self._keep_up()

    def _keep_up(self) -> None:
        """Have applications say again what they want, as they do when the service has started again."""
        self.inhibited = {
            point: [Holder(who="kiosk", why="a customer")] for point, names in self.held.items() if INHIBITOR in names
        }

    def _has(self, kind: str) -> bool:
        return any(kind in names for names in self.held.values())

    def _said(self, kind: str) -> dict[str, Any]:
        said = {point.value: "pause" for point, names in self.held.items() if kind in names and point in MAPPED}
        if self.fails_at is not None and kind == SERVER and self.fails_at.value not in said:
            said[self.fails_at.value] = "fail"
        return said

    def _ask_server(self, deployment: str) -> None:
        self.recorder.moment("ask server")
        self.asks += 1
        if self.gone:
            raise AbortedError("cannot go on: the server has no such deployment any more")
        if self.away:
            raise TransientServerError("cannot ask the server: the test says so")
        self.maps.set_server(deployment, made(deployment, **self._said(SERVER)))

    def let_go(self, point: Point) -> None:
        """Have the first of those who hold a point let go; each says so again if it was cut off."""
        kind = self.held[point].pop(0)
        if kind == INHIBITOR:
            self._keep_up()
        elif kind == PAUSE:
            self.pauses.take_back(point, DEPLOYMENT)
        elif kind == LOCAL:
            self.maps.set_local(text_of(APPLICATION, **self._said(LOCAL)))
        else:
            self.maps.set_server(DEPLOYMENT, made(DEPLOYMENT, **self._said(SERVER)))


@dataclass(frozen=True, kw_only=True)
class Held(Scenario):
    """An update that is held. `gone_at` and `away_at` are pauses in which the server is asked, and is gone or away."""

    held: Mapping[Point, tuple[str, ...]] = field(default_factory=dict)
    gone_at: Point | None = None
    away_at: Point | None = None
    fails_at: Point | None = None

    def held_rig(self, directory: Path) -> HeldRig:
        rig = HeldRig(
            directory=directory,
            world=World(artifact=artifact(self.kind, self.image), fails=set(self.fails), aborts=set(self.aborts)),
            held={point: list(names) for point, names in self.held.items()},
            fails_at=self.fails_at,
        )
        rig.device.module.need, rig.device.module.rollback = self.need, self.rollback
        rig.start()
        for point in [point for point, names in self.held.items() if PAUSE in names]:
            rig.pauses.ask([point], DEPLOYMENT, Pause(who="ann"))
        if rig._said(LOCAL):
            rig.maps.set_local(text_of(APPLICATION, **rig._said(LOCAL)))
        rig.begin_held()
        return rig

    def lead(self, rig: HeldRig, loss: Loss) -> None:
        """Lead it to its end, with everybody letting go one after the other."""
        rig.do(lambda engine: engine.begin("there", name=DEPLOYMENT, mode=Mode.MANAGED), loss)
        for _ in range(80):
            if rig.device.pending and not (rig.recorder.dead and loss is Loss.PROCESS):
                rig.device.reboot()
            if rig.do(Engine.recover, loss) is None or rig.device.pending:
                continue
            state = rig.state()
            if state is None:
                return
            assert state in PAUSES, f"it rests in {state}"
            self._in_pause(rig, PAUSES[state], loss)
        raise AssertionError(f"it does not come to an end: {rig.record()}")

    def _in_pause(self, rig: HeldRig, point: Point, loss: Loss) -> None:
        rig.away = point is self.away_at and not rig.away
        if point is self.gone_at:
            rig.gone = True
            rig.do(lambda engine: engine.abort("the server has no such deployment any more"), loss)
            return
        if rig.held.get(point):
            rig.do(partial(self._reconsider, rig, point), loss)
        else:
            rig.do(Engine.reconsider, loss)

    @staticmethod
    def _reconsider(rig: HeldRig, point: Point, engine: Engine) -> Stand:
        # The one who lets go is at another process, or at the server; his change is not cut off.
        cut, rig.recorder.cut = rig.recorder.cut, None
        calls = len(rig.recorder.calls)
        rig.let_go(point)
        del rig.recorder.calls[calls:]
        rig.recorder.cut = cut
        return engine.reconsider()


KINDS: Mapping[str, Mapping[str, Any]] = {
    "slots": {"kind": "rootfs-image"},
    "module": {"kind": "mod"},
    "custom": {"kind": "mod", "need": RebootNeed.CUSTOM},
    "automatic": {"kind": "mod", "need": RebootNeed.AUTOMATIC},
}
ABORTED = frozenset({"aborted"})
EVENTS: Mapping[str, Mapping[str, Any]] = {
    "everybody holds every point": {
        "held": {
            Point.DOWNLOAD: (INHIBITOR, PAUSE),
            # Each of them is once the last who holds it.
            Point.INSTALL: (INHIBITOR, PAUSE, LOCAL, SERVER),
            Point.REBOOT: (PAUSE, LOCAL, SERVER, INHIBITOR),
            Point.COMMIT: (SERVER, INHIBITOR, PAUSE, LOCAL),
        },
    },
    "the server holds, is away for a while, and lets go": {
        "held": dict.fromkeys(MAPPED, (SERVER, INHIBITOR)),
        "away_at": Point.COMMIT,
    },
    "the server gives it up while it holds the installation": {
        "held": {Point.INSTALL: (SERVER,)},
        "gone_at": Point.INSTALL,
        "ends": ABORTED,
    },
    "the server gives it up while it holds the commit": {
        "held": {Point.COMMIT: (SERVER,)},
        "gone_at": Point.COMMIT,
        "ends": ABORTED,
    },
    "a map says fail after a pause before the commit": {
        "held": {Point.COMMIT: (SERVER,)},
        "fails_at": Point.COMMIT,
        "ends": ABORTED,
    },
    "the server answers 409 to installing": {"aborts": frozenset({"installing"}), "ends": ABORTED},
    "the server answers 409 to the pause before the commit": {
        "held": {Point.COMMIT: (INHIBITOR,)},
        "aborts": frozenset({"pause_before_committing"}),
        "ends": ABORTED,
    },
    "unhealthy after a pause": {
        "held": {Point.REBOOT: (INHIBITOR, LOCAL)},
        "fails": frozenset({"health"}),
        "ends": frozenset({"failure"}),
    },
}
SCENARIOS = [
    Held(name=f"{kind}: {event}", mode=Mode.MANAGED, **KINDS[kind], **EVENTS[event])
    for event in EVENTS
    for kind in KINDS
]
SCENARIOS += [
    Held(
        name="image that does not come up after a pause",
        mode=Mode.MANAGED,
        kind="rootfs-image",
        image=BROKEN,
        held={Point.REBOOT: (PAUSE, LOCAL, SERVER, INHIBITOR)},
        ends=frozenset({"failure"}),
    ),
    Held(
        name="slots: the server answers 409 to rebooting",
        mode=Mode.MANAGED,
        kind="rootfs-image",
        image=NEW,
        aborts=frozenset({"rebooting"}),
        ends=ABORTED,
    ),
]
QUICK = [
    one
    for one in SCENARIOS
    if one.name
    in {
        "slots: everybody holds every point",
        "automatic: the server holds, is away for a while, and lets go",
        "slots: the server gives it up while it holds the commit",
        "module: the server gives it up while it holds the installation",
        "custom: the server answers 409 to installing",
    }
]


@pytest.fixture
def memory() -> Iterator[Path]:
    with client_rig.memory() as directory:
        yield directory


def play(scenario: Held, directory: Path, cut: tuple[int, When] | None = None, loss: Loss = Loss.PROCESS) -> HeldRig:
    shutil.rmtree(directory, ignore_errors=True)
    rig = scenario.held_rig(directory)
    rig.recorder = Recorder(cut=cut)
    rig.states = _Watched(rig)
    scenario.lead(rig, loss)
    rig.open_stores.close()
    return rig


class _Watched(list[State]):
    """The states that were entered; none whose point somebody still holds."""

    def __init__(self, rig: HeldRig) -> None:
        super().__init__()
        self._rig = rig

    def append(self, state: State) -> None:
        point = ENTERED.get(state)
        if point is not None:
            assert not self._rig.held.get(point), f"{self._rig.held[point]} is passed by"
        super().append(state)


def checked(rig: HeldRig, scenario: Held, full: HeldRig | None = None) -> None:
    check(rig, scenario, full)
    if rig.results() == ["success"]:
        assert not any(names for point, names in rig.held.items() if _comes_to(scenario, point)), rig.held
    statuses = [status for status in rig.statuses if status.startswith("pause_")]
    assert len(statuses) <= 3 + 2 * (rig.cut_in is not None) or "away" in scenario.name, statuses


def _comes_to(scenario: Held, point: Point) -> bool:
    return point is not Point.REBOOT or scenario.kind != "mod" or scenario.need is not RebootNeed.NONE


def sweep(scenario: Held, memory: Path, whens: tuple[When, ...], loss: Loss) -> None:
    full = play(scenario, memory / "full")
    for number, name in enumerate(full.recorder.calls):
        for when in whens:
            rig = play(scenario, memory / "store", (number, when), loss)
            try:
                checked(rig, scenario, full)
            except AssertionError as e:
                e.add_note(f"{loss.value} {when.value} call {number}, {name}; the store had {rig.cut_in}")
                e.add_note("\n".join(rig.recorder.calls))
                raise
            finally:
                rig.close()
    full.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[one.name for one in SCENARIOS])
def test_without_a_cut_it_ends_as_it_should(scenario: Held, memory: Path) -> None:
    rig = play(scenario, memory / "store")
    assert rig.results()[0] in scenario.ends
    checked(rig, scenario)
    rig.close()


@pytest.mark.parametrize("loss", list(Loss), ids=[loss.value for loss in Loss])
@pytest.mark.parametrize("scenario", QUICK, ids=[one.name for one in QUICK])
def test_a_cut_before_any_call_passes_nobody_by(scenario: Held, loss: Loss, memory: Path) -> None:
    sweep(scenario, memory, (When.BEFORE,), loss)


@pytest.mark.slow
@pytest.mark.parametrize("loss", list(Loss), ids=[loss.value for loss in Loss])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=[one.name for one in SCENARIOS])
def test_a_cut_before_or_after_any_call_passes_nobody_by(scenario: Held, loss: Loss, memory: Path) -> None:
    sweep(scenario, memory, (When.BEFORE, When.AFTER), loss)
