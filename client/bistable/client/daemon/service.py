"""The service as applications and operators see it: refuses what cannot be done now, and hands on what can."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bistable.artifact.errors import BistableError
from bistable.client.bus.failures import NotHeldError
from bistable.client.bus.ports import Held, View
from bistable.client.config import Loaded
from bistable.client.daemon.answers import Tokens, describe_ended, describe_maps, describe_token
from bistable.client.daemon.asker import Asker
from bistable.client.daemon.brake import Brake
from bistable.client.daemon.course import Course
from bistable.client.daemon.inhibitors import Inhibitors
from bistable.client.daemon.leader import Holding, Leader
from bistable.client.daemon.schedule import Schedule
from bistable.client.daemon.viewer import Viewer, look_at_device
from bistable.client.daemon.work import Work
from bistable.client.deployment.device import Device
from bistable.client.deployment.pauses import Pause
from bistable.client.errors import BusyError, ClientError, NothingToDoError, UsageError
from bistable.client.machine import ON_TRIAL, PAUSES, TABLE, Event, Record, State
from bistable.client.model import Point
from bistable.client.server import Standing
from bistable.client.store import Store
from bistable.client.system import new_name

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the service is made of."""

    loaded: Loaded
    device: Device
    store: Store
    leader: Leader
    asker: Asker
    holding: Holding
    inhibitors: Inhibitors
    brake: Brake
    schedule: Schedule | None
    standing: Callable[[], Standing]


class DaemonService:
    """Implements bus.ports.Service. `clock` is CLOCK_BOOTTIME."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop, self._clock = loop, clock
        self._work = Work(loop)
        self._viewer = Viewer()
        self._tokens = Tokens()
        self._coming = ""
        """The id of an update that was asked for and is not begun yet."""

    def start(self, made: Made) -> None:
        """Begin the work."""
        self._made = made
        self._course = Course(
            self._work,
            self._viewer,
            self._clock,
            leader=made.leader,
            asker=made.asker,
            holding=made.holding,
            inhibitors=made.inhibitors,
            schedule=made.schedule,
            look_at_device=lambda: look_at_device(made.device, made.store),
        )
        for last in made.store.history()[:1]:
            self._viewer.show(last_result=last.result, last_error=last.error or "")
        self._work.spawn(self._course.lead(made.leader.begin_service))

    async def close(self, patience: float) -> bool:
        """Stop the work where it is, and return whether it stopped; it goes on when the service starts again."""
        self._made.brake.stop()
        return await self._work.close(patience)

    def nudge(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Make a call that nobody waits for: a signal has no answer."""
        self._work.spawn(_tolerant(call()))

    # --- what other threads tell

    def changed(self) -> None:
        """Learn, in any thread, that somebody holds an update or does not any more."""
        self._loop.call_soon_threadsafe(self._course.look)

    def entered(self, record: Record) -> None:
        """Learn, in the worker thread, in which state the update is."""
        self._loop.call_soon_threadsafe(self._course.entered, record)

    def substate(self, words: str) -> None:
        """Learn, in the worker thread, what is done."""
        self._loop.call_soon_threadsafe(lambda: self._viewer.show(substate=words))

    def progress(self, done: int, total: int | None) -> None:
        """Learn, in the worker thread, how far the artifact is in."""
        self._loop.call_soon_threadsafe(self._viewer.show_progress, done, total)

    def logged_in(self, standing: Standing) -> None:
        """Learn, in the worker thread, of another token."""
        self._loop.call_soon_threadsafe(self._tokens.tell, standing)

    # --- the view

    def view(self) -> View:
        """Return what is to be seen now."""
        return self._viewer.view

    def subscribe(self, listener: Callable[[View, View], None]) -> None:
        """Have `listener` called with the view before and after each change."""
        self._viewer.subscribe(listener)

    # --- calls

    async def check(self) -> None:
        """Ask the server for an update now."""
        if not self._course.asks:
            raise ClientError("cannot ask for an update: no server is configured", hint="set server.urls")
        self._refuse_busy("check")
        self._course.ask_now()

    async def send_inventory(self) -> None:
        """Send the whole inventory now."""
        await self._course.send_inventory()

    async def install(self, where: str, job: str, stops: Sequence[Point]) -> str:
        """Begin an update; return its id at once."""
        name = job or new_name()
        if job and any(ended.id == job for ended in self._made.store.history()):
            # Whoever asks again did not hear that it was begun; by now it is over.
            return job
        record = self._course.record
        if name == self._coming or (record is not None and record.id == name):
            return name
        self._refuse_busy("install")
        self._coming = name
        self._work.spawn(self._install(where, name, stops))
        return name

    async def _install(self, where: str, name: str, stops: Sequence[Point]) -> None:
        try:
            # Who asked for it may not want it any more later.
            await self._course.lead_once(lambda: self._made.leader.install(where, name, stops))
        finally:
            self._coming = ""

    async def pause(self, points: Sequence[Point], update_id: str, *, who: str) -> None:
        """Hold the update in progress at points."""
        record = self._require(update_id, "pause", hint="inhibit holds those to come")
        # Not in the worker: what is to be held may be at work there.
        pause = Pause(who=who, why="asked for a pause")
        opened = {point for point in record.passes if point is not PAUSES.get(record.state)}
        self._made.holding.pauses.ask(points, record.id, pause, opened=opened)
        self._course.look()

    async def proceed(self, update_id: str, point: Point, *, force: bool) -> None:
        """Let an update go on that waits at a point."""
        record = self._require(update_id, "go on")
        if PAUSES.get(record.state) is not point:
            pauses = self._made.holding.pauses
            if pauses.at(point, record.id) is None:
                raise NotHeldError(f"cannot go on: the update does not wait before the {point.value}")
            pauses.take_back(point, record.id)
            return
        self._work.spawn(self._course.lead(lambda: self._made.leader.proceed(record.id, point, force=force)))

    async def abort(self, update_id: str, reason: str) -> None:
        """Stop the update; what was installed is rolled back."""
        record = self._require(update_id, "abort")
        if (record.state, Event.ABORTED) not in TABLE:
            raise UsageError(f"cannot abort: the update is in the state {record.state.value}")
        self._made.brake.abort(record.id, reason)
        self._work.spawn(self._course.lead(lambda: self._made.leader.abort(record.id, reason)))

    async def commit(self) -> None:
        """Keep the update on trial."""
        self._require_trial("commit")
        self._work.spawn(self._course.lead(self._made.leader.commit))

    async def rollback(self) -> None:
        """Undo the update that is not permanent yet."""
        self._require_trial("roll back")
        self._work.spawn(self._course.lead(self._made.leader.rollback))

    def _require(self, update_id: str, verb: str, *, hint: str | None = None) -> Record:
        record = self._course.record
        if record is None or (update_id and update_id != record.id):
            raise NothingToDoError(f"cannot {verb}: there is no such update in progress", hint=hint)
        return record

    def _require_trial(self, verb: str) -> None:
        record = self._require("", verb)
        if record.state not in ON_TRIAL:
            raise UsageError(f"cannot {verb}: the update is in the state {record.state.value}")

    def inhibit(self, points: Sequence[Point], who: str, why: str, mode: str, seconds: float | None) -> Held:
        """Hold updates at points until `release`."""
        self._course.returned()
        return self._made.inhibitors.hold(points, who, why, mode, seconds)

    async def set_control_map(self, text: str) -> int:
        """Take an update control map."""
        return self._made.holding.maps.set_local(text)

    def control_maps(self) -> str:
        """Return all maps and what they come to, as JSON."""
        record = self._course.record
        return describe_maps(self._made.holding.maps, "" if record is None else record.id)

    async def history(self) -> Sequence[Mapping[str, str]]:
        """Return the updates that ended, the latest first."""
        return [describe_ended(one) for one in self._made.store.history()]

    async def support_bundle(self) -> bytes:
        """Return a support bundle."""
        from bistable.client.deployment.bundle import bundle

        return await self._loop.run_in_executor(None, lambda: bundle(self._made.loaded, self._made.device))

    def token(self) -> tuple[str, str]:
        """Return the token of the server and the server's address."""
        return describe_token(self._made.standing())

    async def fetch_token(self) -> bool:
        """Begin a login."""
        if not self._course.asks:
            return False
        self._work.spawn(self._login())
        return True

    async def _login(self) -> None:
        told = self._tokens.told
        try:
            await self._work.run(self._made.leader.login)
        except BistableError as e:
            log.info("%s", e.what)
        if told == self._tokens.told:
            # Whoever asked waits for a signal, also if there is no token, or still the same.
            self._tokens.tell(self._made.standing())

    def subscribe_token(self, listener: Callable[[str, str], None]) -> None:
        """Have `listener` called after each login attempt."""
        self._tokens.subscribe(listener)

    def _refuse_busy(self, verb: str) -> None:
        record = self._course.record
        if record is not None or self._coming:
            state = State.IDLE if record is None else record.state
            raise BusyError(
                f"cannot {verb}: an update is in progress, in the state {state.value}",
                hint="it can go on or be aborted",
            )


async def _tolerant(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except BistableError as e:
        log.info("%s", e.what)
