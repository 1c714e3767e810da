"""A device in memory for tests of the engine: slots, a boot loader, what an update module changes, and lost power.

Everything that reaches the outside goes through one recorder, which can end the process, or the power, before and after
every call.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from bistable.artifact.reader import IncomingFile
from bistable.client.errors import BootError, ModuleError, NotBootedError, SlotError
from bistable.client.model import RebootNeed, SlotName

A, B = SlotName("a"), SlotName("b")
OLD, NEW, BROKEN, HALF = b"old", b"new", b"does not come up", b"half"
TRIES = 3


class PowerCutError(BaseException):
    """The process is no more: nothing catches it."""


class When(Enum):
    BEFORE = "before"
    AFTER = "after"


class Loss(Enum):
    """What is lost with the process."""

    PROCESS = "process killed"
    POWER = "power lost"


@dataclass(kw_only=True)
class Recorder:
    """Every call, in order. `cut` ends the process at the call of that number; what it does then has no effect."""

    calls: list[str] = field(default_factory=list)
    cut: tuple[int, When] | None = None
    dead: bool = False

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        if self.dead:
            raise PowerCutError(name)
        number = len(self.calls)
        self.calls.append(name)
        self._cut(number, When.BEFORE)
        try:
            yield
        finally:
            self._cut(number, When.AFTER)

    def moment(self, name: str) -> None:
        """Record what has no effect of its own."""
        with self.call(name):
            pass

    def _cut(self, number: int, when: When) -> None:
        if self.cut == (number, when):
            self.dead = True
            raise PowerCutError(self.calls[number])


@dataclass(kw_only=True)
class ModuleState:
    """What an update module installs, what of it runs, and its work tree. It takes effect as `need` says."""

    need: RebootNeed = RebootNeed.NONE
    rollback: bool = True
    installed: bytes = OLD
    running: bytes = OLD
    backup: bytes | None = None
    tree: bytes | None = None
    committed: bool = False


@dataclass(kw_only=True)
class BootMemory:
    """What a boot loader of the strong kind knows: an order, which slots are good, and the tries of those on trial."""

    order: tuple[SlotName, ...] = (A,)
    good: set[SlotName] = field(default_factory=lambda: {A})
    tries: dict[SlotName, int] = field(default_factory=lambda: {A: 0, B: 0})

    def candidates(self) -> list[SlotName]:
        return [slot for slot in self.order if slot in self.good or self.tries[slot] > 0]

    def forbid(self, slot: SlotName, running: SlotName) -> None:
        self._require(slot != running and other(slot) in self.good, "forbid")
        self._put(slot, good=False, tries=0, order=(other(slot),))

    def activate(self, slot: SlotName, running: SlotName) -> None:
        self._require(not (slot == running and slot in self.good) and other(slot) in self.good, "activate")
        self._put(slot, good=False, tries=TRIES, order=(slot, other(slot)))

    def confirm(self, slot: SlotName, running: SlotName) -> None:
        self._require(slot == running and slot in self.order, "confirm")
        self._put(slot, good=True, tries=0, order=(slot, other(slot)))

    def restore(self, slot: SlotName, running: SlotName) -> None:
        self._require(slot in self.good, "restore")
        self._put(other(slot), good=False, tries=0, order=(slot,))

    def rearm(self, slot: SlotName, running: SlotName) -> None:
        self._require(slot == running and self.order[0] == slot, "rearm")
        self.tries[slot] = 0 if slot in self.good else TRIES

    def _require(self, allowed: bool, what: str) -> None:
        if not allowed:
            raise BootError(f"cannot {what}: it is not safe")

    def _put(self, slot: SlotName, *, good: bool, tries: int, order: tuple[SlotName, ...]) -> None:
        self.good = self.good | {slot} if good else self.good - {slot}
        self.tries[slot], self.order = tries, order


@dataclass(kw_only=True)
class Device:
    """All that survives a process of the client. `boots` are the slots that came up, the first one included."""

    memory: BootMemory = field(default_factory=BootMemory)
    images: dict[SlotName, bytes] = field(default_factory=lambda: {A: OLD, B: b""})
    module: ModuleState = field(default_factory=ModuleState)
    note: bytes | None = None
    running: SlotName = A
    boots: list[SlotName] = field(default_factory=lambda: [A])
    pending: bool = False
    asked: int = 0
    """Reboots that somebody asked for and got."""
    losses: int = 0
    confirmed: list[SlotName] = field(default_factory=list)
    wall: float = 0.0
    """It is 1970 until somebody sets the clock."""

    @property
    def boot_id(self) -> str:
        return f"boot-{len(self.boots)}"

    def reboot(self) -> None:
        self.asked += 1
        self._boot()

    def lose_power(self) -> None:
        self.losses += 1
        self._boot()

    def _boot(self) -> None:
        """Do what a boot loader does until a slot comes up."""
        for slot in self.memory.candidates():
            while slot in self.memory.good or self.memory.tries[slot] > 0:
                self.memory.tries[slot] -= slot not in self.memory.good
                if self.images[slot] in {OLD, NEW}:
                    self._came_up(slot)
                    return
                assert slot not in self.memory.good, f"slot {slot} is said to be good, and does not come up"
        raise AssertionError("no slot comes up: the device is lost")

    def _came_up(self, slot: SlotName) -> None:
        self.running, self.pending = slot, False
        self.boots.append(slot)
        self.module.running = self.module.installed

    def next_boot(self) -> SlotName:
        return self.memory.candidates()[0]


def other(slot: SlotName) -> SlotName:
    return B if slot == A else A


class Boot:
    """The boot loader's memory."""

    def __init__(self, device: Device, recorder: Recorder) -> None:
        self._device, self._recorder = device, recorder

    def forbid(self, slot: SlotName) -> None:
        with self._recorder.call(f"boot forbid {slot}"):
            self._device.memory.forbid(slot, self._device.running)

    def activate(self, slot: SlotName) -> None:
        with self._recorder.call(f"boot activate {slot}"):
            self._device.memory.activate(slot, self._device.running)

    def confirm(self, slot: SlotName) -> None:
        with self._recorder.call(f"boot confirm {slot}"):
            self._device.memory.confirm(slot, self._device.running)
            self._device.confirmed.append(slot)

    def restore(self, slot: SlotName) -> None:
        with self._recorder.call(f"boot restore {slot}"):
            assert other(slot) not in self._device.confirmed, "what was committed is rolled back"
            self._device.memory.restore(slot, self._device.running)

    def rearm(self, slot: SlotName) -> None:
        with self._recorder.call(f"boot rearm {slot}"):
            self._device.memory.rearm(slot, self._device.running)


class Calls:
    """The calls that all payloads have in common: recorded, and failing where a test wants it."""

    def __init__(self, device: Device, recorder: Recorder, fails: set[str]) -> None:
        self.device, self.recorder, self.fails = device, recorder, fails

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        with self.recorder.call(f"payload {name}"):
            if name in self.fails and name != "ArtifactInstall":
                raise ModuleError(f"cannot do {name}: the test says so")
            yield
            if name in self.fails:
                raise ModuleError(f"cannot do {name}: the test says so")

    def failure(self) -> None:
        with self.call("ArtifactFailure"):
            pass

    def reboot(self) -> None:
        raise AssertionError("only payloads that bring their own restart about are asked for it")

    rollback_reboot = reboot


class SlotPayload(Calls):
    """An image for the other slot, in the order of install/rootfs.py."""

    def __init__(self, device: Device, recorder: Recorder, fails: set[str], origin: SlotName) -> None:
        super().__init__(device, recorder, fails)
        self.origin, self.target = origin, other(origin)
        self.boot = Boot(device, recorder)

    def download(self, files: Iterable[IncomingFile]) -> None:
        with self.call("Download"):
            if self.device.running != self.origin:
                raise SlotError(f"cannot write slot {self.target}: it runs")
            image = next(iter(files))
            with self.recorder.call("note forget"):
                self.device.note = None
            self.boot.forbid(self.target)
            with self.recorder.call("block write"):
                self.device.images[self.target] = HALF
            content = b"".join(image.chunks())
            image.finish()
            with self.recorder.call("block flush"):
                self.device.images[self.target] = content
            with self.recorder.call("note remember"):
                self.device.note = content

    def supports_rollback(self) -> bool:
        with self.call("SupportsRollback"):
            return True

    def install(self) -> None:
        with self.call("ArtifactInstall"):
            self._check_target()

    def reboot_need(self) -> RebootNeed:
        with self.call("NeedsArtifactReboot"):
            return RebootNeed.AUTOMATIC

    def arm(self) -> None:
        with self.call("arm"):
            self._check_target()
            self.boot.activate(self.target)

    def verify_reboot(self) -> None:
        with self.call("ArtifactVerifyReboot"):
            self._check_runs(self.target)

    def rearm(self) -> None:
        with self.call("rearm"):
            self._check_runs(self.target)
            self.boot.rearm(self.target)

    def commit(self) -> None:
        with self.call("ArtifactCommit"):
            self._check_runs(self.target)
            self.boot.confirm(self.target)

    def rollback(self) -> None:
        with self.call("ArtifactRollback"):
            self.boot.restore(self.origin)

    def verify_rollback_reboot(self) -> None:
        with self.call("ArtifactVerifyRollbackReboot"):
            self._check_runs(self.origin)

    def cleanup(self) -> None:
        with self.call("Cleanup"):
            self.device.note = None

    def _check_target(self) -> None:
        if self.device.note is None or self.device.images[self.target] != self.device.note:
            raise SlotError(f"cannot use slot {self.target}: it does not hold what was verified")

    def _check_runs(self, slot: SlotName) -> None:
        if self.device.running != slot:
            raise NotBootedError(f"cannot go on: slot {slot} should run, but {self.device.running} does")


class ModulePayload(Calls):
    """A payload of an update module that replaces something, and has it take effect as `need` says."""

    @property
    def state(self) -> ModuleState:
        return self.device.module

    def download(self, files: Iterable[IncomingFile]) -> None:
        with self.call("Download"):
            self.state.tree = b"".join(chunk for file in files for chunk in file.chunks())

    def supports_rollback(self) -> bool:
        with self.call("SupportsRollback"):
            return self.state.rollback

    def install(self) -> None:
        with self.call("ArtifactInstall"):
            assert self.state.tree is not None
            if self.state.backup is None:
                self.state.backup = self.state.installed
            self._install(HALF)
            with self.recorder.call("module half done"):
                pass
            if "ArtifactInstall" not in self.fails:
                self._install(self.state.tree)

    def reboot_need(self) -> RebootNeed:
        with self.call("NeedsArtifactReboot"):
            return self.state.need

    def arm(self) -> None:
        """Nothing can be done."""

    def reboot(self) -> None:
        assert self.state.need is RebootNeed.CUSTOM
        with self.call("ArtifactReboot"):
            self.state.running = self.state.installed

    def verify_reboot(self) -> None:
        with self.call("ArtifactVerifyReboot"):
            if self.state.running != NEW:
                raise ModuleError("cannot go on: the update does not run")

    def rearm(self) -> None:
        """Nothing can be done."""

    def commit(self) -> None:
        with self.call("ArtifactCommit"):
            self.state.committed = True

    def rollback(self) -> None:
        assert self.state.rollback, "a module that cannot roll back is asked to"
        assert not self.state.committed, "what was committed is rolled back"
        with self.call("ArtifactRollback"):
            if self.state.backup is not None:
                self._install(self.state.backup)

    def rollback_reboot(self) -> None:
        assert self.state.need is RebootNeed.CUSTOM
        with self.call("ArtifactRollbackReboot"):
            self.state.running = self.state.installed

    def verify_rollback_reboot(self) -> None:
        with self.call("ArtifactVerifyRollbackReboot"):
            if self.state.running != OLD:
                raise ModuleError("cannot go on: the update still runs")

    def cleanup(self) -> None:
        with self.call("Cleanup"):
            self.state.tree = self.state.backup = None

    def _install(self, content: bytes) -> None:
        self.state.installed = content
        if self.state.need is RebootNeed.NONE:
            self.state.running = content
