"""An update with the real gates: it can be reconsidered and forced on, and no cut has it miss a pause."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
from client_device import Loss, Recorder, When
from client_maps import APPLICATION, OTHER, made, text_of
from client_rig import NEW_PROVIDES, OLD_PROVIDES, Rig, World, artifact

from bistable.client.deployment.engine import Engine, Stand
from bistable.client.deployment.gates import Holder, ManagedGates
from bistable.client.deployment.keptmaps import KeptMaps, MapSettings
from bistable.client.deployment.pauses import KeptPauses, Pause
from bistable.client.machine import PAUSES, Mark, State
from bistable.client.model import Mode, Point
from bistable.client.store import Store

DEPLOYMENT = "11111111-2222-3333-4444-555555555555"
ONCE = {"action": "pause", "on_action_executed": "continue"}


class CutValues:
    """A store of its own, each of whose changes is a call that can be cut."""

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store, self._recorder = store, recorder

    def value(self, key: str) -> str | None:
        return self._store.value(key)

    def keep_value(self, key: str, value: str) -> None:
        with self._recorder.call(f"keep {key}"):
            self._store.keep_value(key, value)


@dataclass(kw_only=True)
class GatedRig(Rig):
    """A device whose gates are the real ones."""

    inhibited: dict[Point, list[Holder]] = field(default_factory=dict)
    sends: dict[str, str] | None = None
    """States of the map that the server has for the deployment."""
    maps: KeptMaps = field(init=False)
    pauses: KeptPauses = field(init=False)
    open_stores: ExitStack = field(default_factory=ExitStack)

    def start(self) -> Engine:
        self.open_stores.close()
        store = self.open_stores.enter_context(Store.open(self.directory))
        values = CutValues(store, self.recorder)
        engine = super().engine()
        settings = MapSettings(life=1e6, boot_life=600.0)
        self.maps = KeptMaps(values, settings, boot_id=self.device.boot_id, clock=lambda: 10.0)
        self.pauses = KeptPauses(values)
        gates = ManagedGates(self.maps, self.pauses, self, ask_server=self._ask_server)
        return Engine(replace(engine._parts, gates=gates))

    def engine(self) -> Engine:
        return self.start()

    def holders(self, point: Point) -> list[Holder]:
        return self.inhibited.get(point, [])

    def _ask_server(self, deployment: str) -> None:
        self.recorder.moment("ask server")
        assert self.sends is not None
        self.maps.set_server(deployment, made(deployment, **self.sends))

    def begin(self) -> Stand | None:
        return self.do(lambda engine: engine.begin("there", name=DEPLOYMENT, mode=Mode.MANAGED))

    def state(self) -> State | None:
        record = self.record()
        return None if record is None else record.state


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[GatedRig]:
    rig = GatedRig(directory=tmp_path, world=World(artifact=artifact("mod")))
    rig.start()
    yield rig
    rig.open_stores.close()
    rig.close()


def reconsider(rig: GatedRig) -> State | None:
    rig.do(Engine.reconsider)
    return rig.state()


# --- reconsidering


def test_without_an_update_there_is_nothing_to_reconsider(rig: GatedRig) -> None:
    assert rig.do(Engine.reconsider) == Stand(record=None)


@pytest.mark.parametrize("point", [Point.DOWNLOAD, Point.INSTALL, Point.COMMIT])
def test_what_is_still_held_stays_and_nothing_is_stored_or_told(rig: GatedRig, point: Point) -> None:
    rig.inhibited[point] = [Holder(who="kiosk", why="a customer")]
    rig.begin()
    record, statuses, states = rig.record(), list(rig.statuses), list(rig.states)
    for _ in range(3):
        rig.engine()
        calls = len(rig.recorder.calls)
        stand = rig.do(Engine.reconsider)
        assert stand == Stand(record=record, last=record)
        assert rig.recorder.calls[calls:] == []
    assert (rig.record(), rig.statuses, rig.states) == (record, statuses, states)
    assert record is not None
    assert PAUSES[record.state] is point


def test_what_is_not_held_any_more_goes_on(rig: GatedRig) -> None:
    for point in Point:
        rig.inhibited[point] = [Holder(who="kiosk", why="a customer")]
    rig.begin()
    seen = []
    while (state := rig.state()) is not None:
        seen.append(state)
        assert state in PAUSES
        del rig.inhibited[PAUSES[state]]
        reconsider(rig)
    assert seen == [State.PAUSED_DOWNLOAD, State.PAUSED_INSTALL, State.PAUSED_COMMIT]
    assert rig.results() == ["success"]
    assert rig.provides() == NEW_PROVIDES


@pytest.mark.parametrize(
    ("point", "rolled_back"), [(Point.DOWNLOAD, False), (Point.INSTALL, False), (Point.COMMIT, True)]
)
def test_what_must_not_go_on_is_aborted(tmp_path: Path, point: Point, rolled_back: bool) -> None:
    rig = Rig(directory=tmp_path, world=World(artifact=artifact("mod"), holds={point}))
    rig.do(lambda engine: engine.begin("there", name=DEPLOYMENT, mode=Mode.MANAGED))
    rig.world.refuses = {point}
    rig.do(Engine.reconsider)
    assert rig.record() is None
    assert rig.results() == ["aborted"]
    assert rig.finished[-1].trouble is not None
    assert rig.finished[-1].trouble.what == "cannot go on: the test says so"
    assert rig.provides() == OLD_PROVIDES
    assert ("payload ArtifactRollback" in rig.trace) is rolled_back
    rig.close()


def test_what_cannot_be_undone_is_refused_as_at_its_gate(tmp_path: Path) -> None:
    ends = []
    for number, refused_at_once in enumerate((True, False)):
        rig = Rig(directory=tmp_path / str(number), world=World(artifact=artifact("mod")))
        rig.device.module.rollback = False
        rig.world.refuses, rig.world.holds = ({Point.COMMIT}, set()) if refused_at_once else (set(), {Point.COMMIT})
        rig.do(lambda engine: engine.begin("there", name=DEPLOYMENT, mode=Mode.MANAGED))
        if not refused_at_once:
            rig.world.refuses = {Point.COMMIT}
            rig.do(Engine.reconsider)
        ends.append((rig.results(), rig.provides(), rig.trace))
        rig.close()
    assert ends[0] == ends[1]


def test_what_is_not_paused_is_recovered(tmp_path: Path) -> None:
    ends = []
    for number, act in enumerate((Engine.recover, Engine.reconsider)):
        rig = Rig(directory=tmp_path / str(number), world=World(artifact=artifact("rootfs-image")))
        rig.do(lambda engine: engine.begin("there", name=DEPLOYMENT, mode=Mode.MANAGED))
        record = rig.record()
        assert record is not None
        assert (record.state, record.mark) == (State.REBOOT, Mark.STARTED)
        rig.device.reboot()
        rig.do(act)
        ends.append((rig.results(), rig.recorder.calls))
        rig.close()
    assert ends[0] == ends[1]
    assert ends[0][0] == ["success"]


def test_a_trial_that_the_boot_loader_ended_in_its_pause_is_rolled_back(tmp_path: Path) -> None:
    rig = Rig(directory=tmp_path, world=World(artifact=artifact("rootfs-image"), holds={Point.COMMIT}))
    rig.do(lambda engine: engine.begin("there", name=DEPLOYMENT, mode=Mode.MANAGED))
    rig.device.reboot()
    rig.do(Engine.recover)
    record = rig.record()
    assert record is not None
    assert record.state is State.PAUSED_COMMIT
    assert record.origin is not None
    rig.device.running = record.origin
    rig.do(Engine.reconsider)
    assert rig.results() == ["failure"]
    rig.close()


# --- by hand


def test_an_inhibitor_is_gone_over_only_by_force(rig: GatedRig) -> None:
    rig.inhibited[Point.INSTALL] = [Holder(who="kiosk", why="a customer")]
    rig.begin()
    rig.do(Engine.resume)
    assert rig.state() is State.PAUSED_INSTALL
    rig.do(Engine.force)
    assert rig.results() == ["success"]
    assert rig.finished[-1].forced == {Point.INSTALL}


def test_force_is_for_one_point_only(rig: GatedRig) -> None:
    for point in Point:
        rig.inhibited[point] = [Holder(who="kiosk", why="a customer")]
    rig.begin()
    rig.do(Engine.force)
    assert rig.state() is State.PAUSED_INSTALL


def test_a_pause_asked_for_is_over_when_the_update_is_let_go_on(rig: GatedRig) -> None:
    rig.pauses.ask([Point.INSTALL], DEPLOYMENT, Pause(who="ann"))
    rig.begin()
    assert rig.state() is State.PAUSED_INSTALL
    assert reconsider(rig) is State.PAUSED_INSTALL
    rig.do(Engine.resume)
    assert rig.results() == ["success"]
    assert not rig.pauses.points(DEPLOYMENT)


def test_the_whole_way_with_maps_of_the_server(rig: GatedRig) -> None:
    rig.sends = {"install": "pause", "reboot": "pause", "commit": "pause"}
    rig.maps.set_server(DEPLOYMENT, made(DEPLOYMENT))
    rig.begin()
    seen = []
    while (state := rig.state()) is not None:
        seen.append(state)
        rig.do(Engine.resume)
        assert rig.state() is state, "a continue at the device goes over the server"
        rig.sends = {**rig.sends, PAUSES[state].value: "continue"}
        rig.maps.set_server(DEPLOYMENT, made(DEPLOYMENT, **rig.sends))
        reconsider(rig)
    assert seen == [State.PAUSED_INSTALL, State.PAUSED_COMMIT]
    assert rig.results() == ["success"]


# --- wherever it is cut

PASSED = [
    State.PAUSED_INSTALL,
    State.INSTALL,
    State.PAUSED_REBOOT,
    State.REBOOT,
    State.PAUSED_COMMIT,
    State.COMMIT,
]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory if there is one: a sweep opens thousands of stores."""
    shm = Path("/dev/shm")
    if not shm.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shm) as name:
        yield Path(name)


def change_and_reconsider(rig: GatedRig, number: int, engine: Engine) -> Stand:
    """Have another map change: that ends what pauses once."""
    rig.maps.set_local(text_of(OTHER, number % 21 - 10, reboot={"action": "continue", "on_map_expire": "fail"}))
    return engine.reconsider()


def lead(rig: GatedRig, loss: Loss) -> None:
    """An application pauses once before each point, and lets go by changing another map."""
    rig.do(lambda engine: engine.begin("there", name=DEPLOYMENT, mode=Mode.MANAGED), loss)
    for number in range(40):
        if rig.device.pending and not (rig.recorder.dead and loss is Loss.PROCESS):
            rig.device.reboot()
        if rig.do(Engine.recover, loss) is None or rig.device.pending:
            continue
        if (state := rig.state()) is None:
            return
        assert state in PAUSES
        # The process that made it durable may not have come to tell it.
        rig.states.append(state)
        rig.do(partial(change_and_reconsider, rig, number), loss)
    raise AssertionError(f"it does not come to an end: {rig.record()}")


def play(directory: Path, loss: Loss, cut: tuple[int, When] | None = None) -> GatedRig:
    rig = GatedRig(directory=directory, world=World(artifact=artifact("rootfs-image")))
    rig.start()
    rig.maps.set_local(text_of(APPLICATION, install=ONCE, reboot=ONCE, commit=ONCE))
    rig.recorder = Recorder(cut=cut)
    lead(rig, loss)
    rig.open_stores.close()
    rig.close()
    return rig


def sweep(directory: Path, when: When, loss: Loss) -> None:
    full = play(directory / "full", loss)
    assert list(dict.fromkeys(state for state in full.states if state in PASSED)) == PASSED
    for number, call in enumerate(full.recorder.calls):
        rig = play(directory / str(number), loss, (number, when))
        for paused, entered in zip(PASSED[::2], PASSED[1::2], strict=True):
            if entered in rig.states:
                before = rig.states[: rig.states.index(entered)]
                assert paused in before, f"{loss.value} {when.value} call {number}, {call}"


@pytest.mark.parametrize("loss", list(Loss), ids=[loss.value for loss in Loss])
def test_no_cut_before_a_call_has_an_update_miss_a_pause_that_is_made_once(memory: Path, loss: Loss) -> None:
    sweep(memory, When.BEFORE, loss)


@pytest.mark.slow
@pytest.mark.parametrize("loss", list(Loss), ids=[loss.value for loss in Loss])
def test_no_cut_after_a_call_has_an_update_miss_a_pause_that_is_made_once(memory: Path, loss: Loss) -> None:
    sweep(memory, When.AFTER, loss)
