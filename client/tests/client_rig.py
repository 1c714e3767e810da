"""The engine with a real store and a device in memory, and a world that reboots, resumes and commits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import forge
from client_device import NEW, Device, Loss, ModulePayload, PowerCutError, Recorder, SlotPayload, When

from bistable.artifact.model import Header, Script
from bistable.artifact.trust import Policy
from bistable.client.deployment.engine import Engine, Stand
from bistable.client.deployment.ports import Hold, Open, Payload, Refuse, Verdict
from bistable.client.deployment.standalone import StandaloneGates
from bistable.client.deployment.work import Parts
from bistable.client.errors import (
    AbortedError,
    ClientError,
    FetchError,
    HealthError,
    ModuleError,
    ProgramError,
    ScriptError,
)
from bistable.client.machine import PAUSES, Mark, Record, State, decode_record, encode_record
from bistable.client.model import Mode, Point, RebootNeed
from bistable.client.store import Store

VALID_STATUSES = {
    "downloading",
    "pause_before_installing",
    "installing",
    "pause_before_rebooting",
    "rebooting",
    "pause_before_committing",
    "success",
    "failure",
}
"""What a server of Mender's takes from a device, for updates that ran."""

OLD_PROVIDES = {"artifact_name": "release-1", "rootfs-image.version": "release-1", "kept": "yes"}
NEW_PROVIDES = {"artifact_name": "release-2", "rootfs-image.version": "release-2", "kept": "yes"}
HALF_PROVIDES = {**OLD_PROVIDES, "artifact_name": "release-2_INCONSISTENT"}


SHM = Path("/dev/shm")


@contextmanager
def memory() -> Iterator[Path]:
    """Give a directory in memory if there is one: thousands of stores are opened in it, and none has to last."""
    with TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as name:
        yield Path(name)


@cache
def artifact(kind: str | None = "rootfs-image", image: bytes = NEW, device: str = "board") -> bytes:
    """Return an artifact."""
    info = forge.header_info(
        kind,
        artifact_provides={"artifact_name": "release-2"},
        artifact_depends={"device_type": [device], "artifact_name": ["release-1"]},
    )
    told = forge.type_info(
        kind,
        artifact_provides={"rootfs-image.version": "release-2"},
        clears_artifact_provides=["rootfs-image.*"],
    )
    if kind is None:
        return forge.bootstrap(kind="", info=info, type_info=told).build()
    return forge.Forge(kind="", info=info, type_info=told, files=[("image", image)]).build()


@dataclass(kw_only=True)
class World:
    """What a test decides."""

    artifact: bytes = field(default_factory=artifact)
    fails: set[str] = field(default_factory=set)
    """Names of calls that fail: of a payload's, of scripts, `health`, `reach`, `fetch`, `reboot`."""
    holds: set[Point] = field(default_factory=set)
    refuses: set[Point] = field(default_factory=set)
    aborts: set[str] = field(default_factory=set)
    """Statuses to which the server answers that the update was aborted."""
    device_type: str | None = "board"


class CutStore(Store):
    """The real store; each change of its own is one call."""

    recorder: Recorder
    _inside = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.recorder.call("store commit"), super().transaction():
            self._inside = True
            try:
                yield
            finally:
                self._inside = False
            self.recorder.moment("store changed")

    def save_record(self, text: str) -> None:
        if self._inside:
            super().save_record(text)
            return
        with self.recorder.call("store save"):
            super().save_record(text)


@dataclass(kw_only=True)
class Rig:
    """A device, and the client on it. `directory` holds the store."""

    directory: Path
    device: Device = field(default_factory=Device)
    world: World = field(default_factory=World)
    recorder: Recorder = field(default_factory=Recorder)
    statuses: list[str] = field(default_factory=list)
    finished: list[Record] = field(default_factory=list)
    kept_scripts: Sequence[Script] = ()
    watching: bool = False
    cut_in: Record | None = None
    """What the store had after the cut, and what was provided then."""
    provided_in: dict[str, str] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    _store: CutStore | None = None

    def __post_init__(self) -> None:
        with Store.open(self.directory) as store, store.transaction():
            store.replace_provides(OLD_PROVIDES)

    # --- processes

    def engine(self) -> Engine:
        """Start a process of the client."""
        self.recorder.dead = False
        return Engine(
            Parts(
                store=self.store(),
                system=self,
                sources=self,
                payloads=_Payloads(self),
                scripts=_Scripts(self),
                gates=_Gates(self),
                health=_Health(self),
                reporter=_Reporter(self),
                watchdog=_Watchdog(self),
                policy=Policy,
                device_type=lambda: self.world.device_type,
                on_record=lambda record: self.states.append(record.state),
            )
        )

    def do(self, act: Callable[[Engine], Stand], loss: Loss = Loss.PROCESS) -> Stand | None:
        """Have a new process do something; None if it was cut off."""
        try:
            return act(self.engine())
        except PowerCutError:
            self.cut_in, self.provided_in = self.record(), self.provides()
            if loss is Loss.POWER:
                self.device.lose_power()
            return None
        finally:
            self.watching = False

    def store(self) -> CutStore:
        """Open the store anew, as a new process does."""
        if self._store is not None:
            self._store.close()
        self._store = CutStore.open(self.directory)
        self._store.recorder = self.recorder
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    # --- what can be seen

    def record(self) -> Record | None:
        text = self.kept().record()
        return None if text is None else decode_record(text)

    def provides(self) -> dict[str, str]:
        return self.kept().provides()

    def results(self) -> list[str]:
        return [ended.result for ended in self.kept().history()]

    def kept(self) -> Store:
        """Return the store as it is, for looking at."""
        return self.store() if self._store is None else self._store

    def change_record(self, **changes: object) -> None:
        """Have the store hold something else."""
        record = self.record()
        assert record is not None
        Store.save_record(self.kept(), encode_record(replace(record, **changes)))  # type: ignore[arg-type]

    @property
    def trace(self) -> list[str]:
        """What a module and the scripts would have seen, as `module CALL` and `script NAME`."""
        return [call for call in self.recorder.calls if call.startswith(("payload ", "script "))]

    # --- the ports that are so small that this object is them: System and Sources

    def boot_id(self) -> str:
        return self.device.boot_id

    def wall(self) -> float:
        return self.device.wall

    def reboot(self) -> None:
        with self.recorder.call("reboot"):
            if "reboot" in self.world.fails:
                raise ProgramError("cannot reboot: the test says so")
            self.device.pending = True

    @contextmanager
    def open(self, record: Record) -> Iterator["_Source"]:
        self.recorder.moment("source open")
        if "fetch" in self.world.fails:
            raise FetchError("cannot fetch: the test says so")
        yield _Source(self.world.artifact)

    def discard(self, record: Record) -> None:
        self.recorder.moment("source discard")


class _Source(BytesIO):
    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.size: int | None = len(content)

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size)


@dataclass
class _Payloads:
    rig: Rig

    def prepare(self, header: Header, record: Record) -> Record:
        if header.info.payload_type == "rootfs-image":
            running = self.rig.device.running
            (target,) = set(self.rig.device.images) - {running}
            return replace(record, origin=running, target=target)
        if header.info.payload_type != "mod":
            raise ModuleError("cannot install: there is no such module")
        return record

    def begin(self, header: Header, record: Record) -> Payload:
        payload = self.resume(record)
        assert payload is not None
        return payload

    def resume(self, record: Record) -> Payload | None:
        if record.offer is None or record.offer.payload_type is None:
            return None
        device, recorder, fails = self.rig.device, self.rig.recorder, self.rig.world.fails
        if record.origin is not None:
            return SlotPayload(device, recorder, fails, record.origin)
        return ModulePayload(device, recorder, fails)

    def on_target(self, record: Record) -> bool | None:
        return None if record.target is None else self.rig.device.running == record.target

    def on_origin(self, record: Record) -> bool | None:
        return None if record.origin is None else self.rig.device.running == record.origin


@dataclass
class _Scripts:
    rig: Rig

    def store(self, scripts: Sequence[Script]) -> None:
        with self.rig.recorder.call("scripts store"):
            self.rig.kept_scripts = scripts

    def run(self, state: str, action: str, *, ignore_errors: bool = False) -> None:
        name = f"{state}_{action}"
        self.rig.recorder.moment(f"script {name}")
        if name in self.rig.world.fails and not ignore_errors:
            raise ScriptError(f"cannot run {name}: the test says so")

    def check_rootfs_version(self) -> None:
        self.rig.recorder.moment("scripts version")


@dataclass
class _Gates:
    rig: Rig

    def decide(self, point: Point, record: Record) -> Verdict:
        self.rig.recorder.moment(f"gate {point.value}")
        if f"gate {point.value}" in self.rig.world.fails:
            raise ClientError("cannot ask: the test says so")
        if point in self.rig.world.refuses:
            return Refuse(reason="the test says so")
        if record.mode is Mode.STANDALONE and point not in self.rig.world.holds:
            return StandaloneGates().decide(point, record)
        held = point in self.rig.world.holds and point not in record.passes
        return Hold(reasons=("the test says so",)) if held else Open()


@dataclass
class _Health:
    rig: Rig

    def check(self, used: float, on_used: Callable[[float], None]) -> float:
        with self.rig.recorder.call("health"):
            assert self.rig.watching
            on_used(used + 1.0)
            if "health" in self.rig.world.fails:
                raise HealthError("cannot keep the update: the test says so")
        return used + 1.0


@dataclass
class _Reporter:
    rig: Rig

    def tell(self, record: Record, status: str) -> None:
        with self.rig.recorder.call(f"tell {status}"):
            self.rig.statuses.append(status)
            if status in self.rig.world.aborts:
                raise AbortedError("cannot go on: the server says that it was aborted")

    def confirm_reachable(self, record: Record) -> None:
        self.rig.recorder.moment("reach")
        if "reach" in self.rig.world.fails:
            raise HealthError("cannot reach the server: the test says so")

    def finish(self, record: Record) -> None:
        with self.rig.recorder.call("finish"):
            self.rig.finished.append(record)
            self.rig.statuses.append("success" if record.committed and not record.failed else "failure")


@dataclass
class _Watchdog:
    rig: Rig

    def arm(self) -> None:
        self.rig.watching = True

    def disarm(self) -> None:
        self.rig.watching = False


# --- the world


Answer = Callable[[Engine], Stand]
ANSWERS: Mapping[str, Answer] = {
    "resume": Engine.resume,
    "commit": Engine.commit,
    "rollback": Engine.rollback,
    "abort": lambda engine: engine.abort("somebody said so"),
}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """An update, and what happens to it. `answers` says what is done in a pause (or before a stop)."""

    name: str
    mode: Mode
    kind: str
    need: RebootNeed = RebootNeed.NONE
    rollback: bool = True
    image: bytes = NEW
    fails: frozenset[str] = frozenset()
    holds: frozenset[Point] = frozenset()
    aborts: frozenset[str] = frozenset()
    stops: frozenset[State] = frozenset()
    answers: Mapping[State, str] = field(default_factory=dict)
    ends: frozenset[str] = frozenset({"success"})
    """How it may end if nothing is cut."""
    loses_power_in_pauses: bool = False

    def rig(self, directory: Path) -> Rig:
        rig = Rig(directory=directory)
        rig.device.module.need, rig.device.module.rollback = self.need, self.rollback
        rig.world = World(
            artifact=artifact(None if self.kind == "empty" else self.kind, self.image),
            fails=set(self.fails),
            holds=set(self.holds),
            aborts=set(self.aborts),
        )
        return rig

    def play(self, rig: Rig, loss: Loss = Loss.PROCESS) -> None:
        """Lead the update to its end, as the device, its boot service and its people do."""
        rig.do(lambda engine: engine.begin("there", name="one", mode=self.mode, stops=self.stops), loss)
        if rig.cut_in is None and rig.recorder.dead:
            return  # it never began
        self.finish(rig, loss)

    def finish(self, rig: Rig, loss: Loss = Loss.PROCESS) -> None:
        """Go on until nothing is in progress."""
        lost_in: set[State] = set()
        for _ in range(40):
            if rig.device.pending and not (rig.recorder.dead and loss is Loss.PROCESS):
                rig.device.reboot()
            if rig.do(Engine.recover, loss) is None:
                continue
            record = rig.record()
            if record is None:
                self._person_reboots(rig)
                return
            if rig.device.pending:
                continue
            if self.loses_power_in_pauses and record.state in PAUSES and record.state not in lost_in:
                lost_in.add(record.state)
                rig.device.lose_power()
                rig.do(Engine.recover, loss)
                after = rig.record()
                assert after is not None
                assert after.state is record.state, "a pause does not survive a power cut"
            self._answer(rig, record, loss)
        raise AssertionError(f"it does not come to an end: {rig.record()}")

    def _answer(self, rig: Rig, record: Record, loss: Loss) -> None:
        waits = record.state in {State.REBOOT, State.ROLLBACK_REBOOT} and record.mark is Mark.STARTED
        if waits and record.mode is Mode.STANDALONE:
            rig.device.reboot()
            return
        assert record.state in PAUSES or record.state in record.stops, f"it rests in {record.state}"
        usual = "commit" if record.state is State.PAUSED_COMMIT and record.mode is Mode.STANDALONE else "resume"
        rig.do(ANSWERS[self.answers.get(record.state, usual)], loss)

    def _person_reboots(self, rig: Rig) -> None:
        """What a person leads and cannot be rolled back, or restarts itself, is restarted by the person at the end."""
        if self.mode is Mode.STANDALONE and self.kind == "mod" and self.need is not RebootNeed.NONE:
            rig.device.reboot()
            rig.device.asked -= 1


def cuts(rig: Rig) -> list[tuple[int, When]]:
    """Return where a full run can be cut."""
    return [(number, when) for number in range(len(rig.recorder.calls)) for when in When]
