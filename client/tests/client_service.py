"""The service in this process, on a device of files: with a clock to put forward, and a module that notes its calls."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

from client_answers import Asked
from client_bench import Bench
from client_server import DEPLOYMENT, Deployment, FakeServer

from bistable.artifact import Codec, Extras, InputBytes, Options, Script, module_request, write_artifact
from bistable.client.boot.simulated import SimulatedSystem, boot, read_device, write_device
from bistable.client.bus.ports import View
from bistable.client.config import load, only
from bistable.client.daemon.brake import Brake
from bistable.client.daemon.service import DaemonService
from bistable.client.daemon.wiring import make
from bistable.client.deployment.device import Device
from bistable.client.fetch import FetchSettings
from bistable.client.machine import PAUSES, Record, State, decode_record
from bistable.client.model import Point, SlotName
from bistable.client.store import Store

T = TypeVar("T")

LONGEST = 120.0
"""Seconds until a test gives up; nothing takes that long."""

POLL = 1800
PAUSE_STATUS = {
    Point.INSTALL: "pause_before_installing",
    Point.REBOOT: "pause_before_rebooting",
    Point.COMMIT: "pause_before_committing",
}
STATE_KEYS = {
    Point.INSTALL: "ArtifactInstall_Enter",
    Point.REBOOT: "ArtifactReboot_Enter",
    Point.COMMIT: "ArtifactCommit_Enter",
}
APPLICATION = "0c13e0a8-7e6a-4c7f-9c33-58e0d3d8b7f2"
VALID = {*PAUSE_STATUS.values(), "downloading", "installing", "rebooting", "success", "failure"}

SCRIPT_STATES = {
    "ArtifactInstall": ("Enter", "Leave", "Error"),
    "ArtifactReboot": ("Enter", "Leave", "Error"),
    "ArtifactCommit": ("Enter", "Leave", "Error"),
    "ArtifactRollback": ("Enter", "Leave"),
    "ArtifactRollbackReboot": ("Enter", "Leave"),
    "ArtifactFailure": ("Enter", "Leave"),
}

# A fifo under `meets` has the call wait until the test has opened and closed its other end.
NOTE = """
note() {
  echo "$1" >> '@/log/calls'
  [ ! -p "@/log/meets/$2" ] || cat "@/log/meets/$2" > /dev/null
  if [ -e "@/log/fails/$2" ]; then echo "$2 fails here" >&2; exit 1; fi
}
"""
MODULE = f"""#!/bin/sh
{NOTE}
case "$1" in ProvidePayloadFileSizes) exit 0 ;; esac
note "module $1" "$1"
if [ -e "@/log/answers/$1" ]; then cat "@/log/answers/$1"; fi
exit 0
"""
SCRIPT = f"""#!/bin/sh
{NOTE}
name=${{0##*/}}
note "script ${{name%_00}}" "${{name%_00}}"
"""
IDENTITY = "#!/bin/sh\necho mac=02:00:00:00:00:01\n"


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true that nobody tells of."""
    end = time.monotonic() + LONGEST
    while not true():
        assert time.monotonic() < end, "it does not come true"
        threading.Event().wait(0.005)


class Clock:
    """The clock that counts from the boot on, and the one on the wall; both go on, and can be put."""

    def __init__(self) -> None:
        self._ahead, self.wall_ahead = 0.0, 0.0

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def put_forward(self, seconds: float) -> None:
        self._ahead += seconds

    # --- the machine of a SimulatedSystem

    boottime = now

    def wall(self) -> float:
        return time.time() + self.wall_ahead

    def sync(self) -> None:
        pass

    def boot_id(self) -> str:
        raise NotImplementedError

    def reboot(self) -> None:
        raise NotImplementedError


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers go by such a clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def time(self) -> float:
        return self._clock.now()


class _System(SimulatedSystem):
    def __init__(self, path: Path, clock: Clock, on_reboot: Callable[[], None]) -> None:
        super().__init__(path, machine=clock)
        self._on_reboot = on_reboot

    def reboot(self) -> None:
        super().reboot()
        self._on_reboot()


class ModelDevice(Device):
    """A device whose clock is a test's, and that does not wait between two attempts to reach a server."""

    clock: Clock
    on_reboot: Callable[[], None]

    @cached_property
    def system(self) -> _System:
        assert self.settings.boot.simulated_state is not None
        return _System(self.settings.boot.simulated_state, self.clock, self.on_reboot)

    def fetch_settings(self) -> FetchSettings:
        return replace(super().fetch_settings(), sleep=lambda _seconds: None, timeout=20.0)


@cache
def script(name: str) -> Script:
    return Script(name=f"{name}_00", content=SCRIPT.encode())


def scripts() -> list[str]:
    return [f"{state}_{action}" for state, actions in SCRIPT_STATES.items() for action in actions]


@dataclass(kw_only=True)
class Station(Bench):
    """The device and its server. `need` and `rollback` are what the update module answers."""

    servers: list[FakeServer] = field(default_factory=list)
    need: str = "Yes"
    rollback: str = "Yes"
    more: str = ""
    clock: Clock = field(default_factory=Clock)
    running: "Running | None" = None
    reboots: int = 0
    """Reboots that the client asked for."""

    def __post_init__(self) -> None:
        for name in ("meets", "fails", "answers"):
            (self.place / "log" / name).mkdir(parents=True)
        for name, text in {"modules/mod": MODULE, "identity": IDENTITY}.items():
            self.program(name, text)
        self.modules = self.place / "modules"
        urls = ", ".join(f'"{server.url}"' for server in self.servers)
        self.settings = f"""
[server]
urls = [{urls}]
poll-interval = {POLL}
{self.more}
[attributes]
inventory-dirs = ["{self.place}/inventory"]
identity-programs = ["{self.place}/identity"]
"""
        self.answer("NeedsArtifactReboot", self.need)
        self.answer("SupportsRollback", self.rollback)
        super().__post_init__()

    def program(self, name: str, text: str) -> None:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("@", str(self.place)))
        path.chmod(0o755)

    def answer(self, call: str, words: str) -> None:
        (self.place / "log/answers" / call).write_text(f"{words}\n")

    def fail(self, *names: str) -> None:
        for name in names:
            (self.place / "log/fails" / name).touch()

    @contextmanager
    def meeting(self, call: str) -> Iterator[Callable[[], None]]:
        """Have a call of the module, or a script, wait until the test says that it goes on."""
        path = self.place / "log/meets" / call
        os.mkfifo(path)
        # Open for both, or this would wait for the call, and the call that comes after the end would wait for ever.
        descriptor = os.open(path, os.O_RDWR)
        open_end = [descriptor]

        def go_on() -> None:
            path.unlink()
            os.close(open_end.pop())

        try:
            yield go_on
        finally:
            if open_end:
                go_on()

    def break_slot(self, name: str) -> None:
        """Have what is in a slot not come up."""
        device = read_device(self.memory)
        write_device(self.memory, replace(device, broken=device.broken | {SlotName(name)}))

    def artifact_bytes(self, name: str = "release-1", content: bytes = b"content") -> bytes:
        """Return an artifact with the module's payload and a script for each state and action."""
        found = [Script(name=f"{one}_00", content=SCRIPT.replace("@", str(self.place)).encode()) for one in scripts()]
        items = [InputBytes(name="a", content=content)]
        path = self.place / f"{name}.module.mender"
        request = module_request("mod", items, name=name, device_types=["board"], extras=Extras(scripts=found))
        write_artifact(path, request, Options(codec=Codec.parse("none")))
        return path.read_bytes()

    def offer(self, **more: Any) -> None:
        """Have the server offer an update with the module."""
        for server in self.servers:
            server.artifact = self.artifact_bytes()
            server.deployment = Deployment(artifact_name="release-1", **more)

    def offer_rootfs(self, name: str = "release-1", **more: Any) -> None:
        for server in self.servers:
            server.artifact = self.rootfs(name).read_bytes()
            server.deployment = Deployment(artifact_name=name, **more)

    # --- the service

    def serve(self) -> "Running":
        """Start the service; a boot, if the client asked for one, has happened before."""
        assert self.running is None
        self.running = Running(self)
        return self.running

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None

    def restart(self) -> "Running":
        self.stop()
        return self.serve()

    def power_cut(self) -> "Running":
        """Have the device boot, and the service with it."""
        self.stop()
        boot(self.memory, now=self.clock.now())
        return self.serve()

    def until(self, true: Callable[[View], bool]) -> View:
        """Wait until something is to be seen; a reboot that the client asks for ends the service, and starts it."""
        while True:
            assert self.running is not None
            view = self.running.wait(true)
            if view is not None:
                return view
            self.restart()

    def until_called(self, call: str) -> None:
        """Wait until the module or a script began a call."""
        until(lambda: any(one.endswith(f" {call}") for one in self.calls()))

    def until_held(self, point: Point) -> View:
        """Wait until the update waits at a point, and nothing is done any more."""
        view = self.until(lambda view: view.held_at == point.value)
        running = self.running
        assert running is not None
        until(lambda: running.do(_waits))
        return view

    def until_over(self, count: int = 1) -> str:
        """Wait until so many updates are over; return how the last one ended."""
        self.until(lambda view: view.state == "idle" and len(self.results()) >= count)
        return self.results()[0]

    # --- what can be seen

    def kept(self, ask: Callable[[Store], T]) -> T | None:
        """Ask the store; None if there is none yet."""
        store = Store.open_for_reading(self.data)
        if store is None:
            return None
        with store:
            return ask(store)

    def results(self) -> list[str]:
        return self.kept(lambda store: [ended.result for ended in store.history()]) or []

    def record(self) -> Record | None:
        text = self.kept(lambda store: store.record())
        return None if text is None else decode_record(text)

    def state(self) -> State | None:
        record = self.record()
        return None if record is None else record.state

    def calls(self) -> list[str]:
        path = self.place / "log/calls"
        return path.read_text().splitlines() if path.exists() else []


def _waits(service: DaemonService) -> bool:
    """Whether nothing is done or about to be done."""
    timer = service._work._timer
    return not leads(service) and (timer is None or timer.when() > service._loop.time() + 1)


def leads(service: DaemonService) -> bool:
    """Whether something is done with the update."""
    return service._course._leading > 0


class Running:
    """The service at work, in a thread of its own."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._changed = threading.Condition()
        self._view = View(state="idle")
        self.views: list[View] = []
        self.tokens: list[tuple[str, str]] = []
        self._rebooted = False
        self._loop = ClockLoop(station.clock)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stores: list[Store] = []
        self.service = self._made()
        self._thread.start()

    def _made(self) -> DaemonService:
        station, brake = self._station, Brake()
        clock = station.clock
        service = DaemonService(self._loop, clock.now)
        loaded = load(only(station.place / "device.toml"))
        device = ModelDevice(loaded.settings, environment={}, check=brake.check, on_progress=service.progress)
        device.clock, device.on_reboot = clock, self._reboot
        store, values = Store.open(station.data), Store.open(station.data)
        self._stores = [store, values]
        self.made = make(service, loaded, device, store, values, brake, clock=clock.now, lasting=False)
        service.subscribe(self._see)
        service.subscribe_token(lambda token, url: self.tokens.append((token, url)))
        return service

    def _run(self) -> None:
        logging.getLogger("bistable.client").setLevel(logging.INFO)
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self.service.start, self.made)
        self._loop.run_forever()

    def _see(self, _: View, view: View) -> None:
        with self._changed:
            self._view = view
            self.views.append(view)
            self._changed.notify_all()

    def _reboot(self) -> None:
        self._station.reboots += 1
        with self._changed:
            self._rebooted = True
            self._changed.notify_all()

    def stop(self) -> None:
        """End the service as systemd does."""
        assert self.run(self.service.close(LONGEST)), "something is at work"
        self.end()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for store in self._stores:
            store.close()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Make a call in the thread of the service."""
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(LONGEST)

    def do(self, act: Callable[[DaemonService], T]) -> T:
        """Do something with the service that takes no time."""

        async def done() -> T:
            return act(self.service)

        return self.run(done())

    def put_forward(self, seconds: float) -> None:
        """Let time pass."""
        self._station.clock.put_forward(seconds)
        self._loop.call_soon_threadsafe(lambda: None)

    def view(self) -> View:
        with self._changed:
            return self._view

    def wait(self, true: Callable[[View], bool]) -> View | None:
        """Wait until something is to be seen and return it; None if the device reboots before that."""
        with self._changed:
            done = self._changed.wait_for(lambda: self._rebooted or true(self._view), LONGEST)
            assert done, (self._view, self._station.calls())
            return None if self._rebooted else self._view


class Stations:
    """Makes stations, and sees to their end."""

    def __init__(self, place: Path) -> None:
        self._place, self._made = place, list[Station]()
        self._servers: list[FakeServer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for station in self._made:
            station.stop()
        for server in self._servers:
            server.__exit__()

    def server(self) -> FakeServer:
        server = FakeServer()
        server.__enter__()
        self._servers.append(server)
        return server

    def station(self, *, servers: int = 1, **more: Any) -> Station:
        place = self._place / f"station-{len(self._made)}"
        place.mkdir()
        station = Station(place=place, servers=[self.server() for _ in range(servers)], **more)
        self._made.append(station)
        return station


def steps(server: FakeServer) -> list[str]:
    """Return the statuses that a server was told, without those that only tell what is done or who holds it."""
    names = [status for status, words in server.statuses if words is None or status in {"success", "failure"}]
    return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


# --- maps


def control_map(id_: str = DEPLOYMENT, priority: int = 0, /, **actions: str | Mapping[str, str]) -> dict[str, Any]:
    """Return an update control map; the names of actions are points."""
    states = {
        STATE_KEYS[Point(name)]: {"action": action} if isinstance(action, str) else dict(action)
        for name, action in actions.items()
    }
    return {"id": id_, "priority": priority, "states": states}


def everywhere(points: Iterable[Point], action: str = "pause", id_: str = DEPLOYMENT) -> dict[str, Any]:
    return control_map(id_, **{point.value: action for point in points})


def status_of(asked: Asked) -> str:
    return str(asked.json["status"])


def pause_state(point: Point) -> State:
    return next(state for state, where in PAUSES.items() if where is point)
