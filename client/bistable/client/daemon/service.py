"""The service as applications and operators see it; it runs in the event loop, and gives work to the worker thread."""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bistable.artifact.errors import BistableError
from bistable.client.bus.failures import NotHeldError
from bistable.client.bus.ports import Held, View
from bistable.client.config import Loaded
from bistable.client.daemon.answers import Tokens, describe_ended, describe_maps, describe_token
from bistable.client.daemon.brake import Brake
from bistable.client.daemon.inhibitors import Inhibitors
from bistable.client.daemon.leader import Holding, Leader
from bistable.client.daemon.schedule import Schedule
from bistable.client.daemon.viewer import Viewer, look_at_device
from bistable.client.daemon.work import Work
from bistable.client.deployment.device import Device
from bistable.client.deployment.engine import Stand
from bistable.client.deployment.pauses import Pause
from bistable.client.errors import BusyError, ClientError, NothingToDoError, StoreError, UsageError
from bistable.client.machine import ON_TRIAL, PAUSES, TABLE, Event, Record, State
from bistable.client.model import Point
from bistable.client.server import Standing, TransientServerError
from bistable.client.store import Store

log = logging.getLogger(__name__)

REBOOT_PATIENCE: Final = 600.0
"""Seconds after which a reboot that was asked for is asked for again."""

BUSY_PATIENCE: Final = 5.0
STORE_PATIENCE: Final = 60.0
"""Seconds until it is tried again what a command at the device, or a full disk, kept from being done."""

RETURN_PATIENCE: Final = 30.0
"""Seconds after a start in which a pause does not end just because nobody holds it: applications that held it lost
their hold with the service, and need a moment to notice that it is back."""

SOONEST: Final = 0.05
"""Seconds between two looks at a pause at least, however often something changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the service is made of."""

    loaded: Loaded
    device: Device
    store: Store
    leader: Leader
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
        self._record: Record | None = None
        self._told_at = clock()
        """When the server last heard of a pause."""
        self._leading = 0
        self._changed = False
        """Somebody began or ceased to hold something since a pause was last looked at."""
        self._just_started = True
        self._all_back_at = clock()
        self._coming = ""
        """The id of an update that was asked for and is not begun yet."""
        self._device_shown = False

    def start(self, made: Made) -> None:
        """Begin the work."""
        self._made = made
        self._schedule = made.schedule
        for last in made.store.history()[:1]:
            self._viewer.show(last_result=last.result, last_error=last.error or "")
        self._work.spawn(self._lead(made.leader.begin_service))

    async def close(self, patience: float) -> bool:
        """Stop the work where it is, and return whether it stopped; it goes on when the service starts again."""
        self._made.brake.stop()
        return await self._work.close(patience)

    def nudge(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Make a call that nobody waits for: a signal has no answer."""
        self._work.spawn(_tolerant(call()))

    # --- work

    async def _lead(self, work: Callable[[], Stand]) -> None:
        """Do something with the update, then see when to do the next thing."""
        try:
            stand = await self._led(work)
        except BusyError:
            self._again(BUSY_PATIENCE, work)
        except StoreError as e:
            log.warning("%s", e.what)
            self._again(STORE_PATIENCE, work)
        except BistableError as e:
            self._failed(e)
        else:
            self._rest(stand)

    async def _led(self, work: Callable[[], Stand]) -> Stand:
        # Who holds the update is asked in there; what changes later is looked at after it.
        self._changed = False
        self._leading += 1
        try:
            return await self._work.run(work)
        finally:
            self._leading -= 1

    def _failed(self, error: BistableError) -> None:
        """Show an error, and go on with what there is: a pause, or the next question to the server."""
        log.info("%s", error.what)
        self._viewer.show(last_error_code=getattr(error, "code", "artifact"), last_error=error.what)
        if self._record is not None:
            if self._record.state in PAUSES:
                self._wait_on()
            else:
                self._again(STORE_PATIENCE, self._made.leader.recover)
            return
        if self._schedule is not None:
            asked = error.retry_after if isinstance(error, TransientServerError) else None
            self._schedule = self._schedule.failed(self._clock(), random.random, asked)
        self._plan()

    def _rest(self, stand: Stand) -> None:
        """Plan what comes after a rest of the update, or after its end."""
        self._show(stand)
        record = stand.record
        if record is None:
            self._just_started = False
            if self._schedule is not None:
                self._schedule = self._schedule.answered()
                if stand.ended is not None:
                    self._schedule = self._schedule.inventory_now(self._clock())
            self._plan()
        elif record.state in PAUSES:
            self._told_at = self._clock()
            self._wait_on()
        else:
            self._again(REBOOT_PATIENCE, self._made.leader.recover)

    def _wait_on(self) -> None:
        """Plan the next look at a paused update."""
        if self._just_started:
            # Nobody knows for how long the service was gone, and what the server has said since.
            self._work.set_timer(0.0, lambda: self._work.spawn(self._refresh()))
        elif self._changed:
            # While the worker looked at it.
            self._reconsider()
        elif (wait := self._next_look()) is not None:
            self._work.set_timer(wait, lambda: self._work.spawn(self._refresh()))
        else:
            self._again(None, self._made.leader.reconsider)

    def _next_look(self) -> float | None:
        """Return the seconds until something about who holds an update changes by itself, or the server is asked."""
        waits = [self._made.holding.maps.wait(), self._made.inhibitors.next_end(), self._tell_after()]
        known = [wait for wait in waits if wait is not None]
        return max(min(known), SOONEST) if known else None

    def _tell_after(self) -> float | None:
        """Return the seconds until a server without a map is told again that the update waits."""
        record = self._record
        if self._schedule is None or record is None or not record.offered:
            return None
        if self._made.holding.maps.has_server_map(record.id):
            return None
        return self._told_at + self._schedule.intervals.poll - self._clock()

    async def _refresh(self) -> None:
        """Look at a paused update again, by the clock and by what the server says."""
        record = self._record
        if record is None or record.state not in PAUSES or self._leading:
            return
        tell = self._tell_after()
        maps = self._made.holding.maps
        at_once, self._just_started = self._just_started, False
        try:
            maps.tick()
            gone = None
            known = record.offered and maps.has_server_map(record.id)
            if known and (at_once or maps.refresh_due(record.id)):
                gone = await self._work.run_aside(lambda: self._made.leader.ask_in_pause(record))
            elif tell is not None and tell <= 0:
                gone = await self._work.run_aside(lambda: self._made.leader.tell_in_pause(record))
        except StoreError as e:
            log.warning("%s", e.what)
            self._again(STORE_PATIENCE, self._made.leader.reconsider)
            return
        now = self._record
        if now is None or (now.id, now.state) != (record.id, record.state) or self._leading:
            return  # somebody was faster
        if gone is not None:
            reason = gone
            await self._lead(lambda: self._made.leader.abort(record.id, reason))
        elif self._clock() < self._all_back_at:
            self._reconsider()
        else:
            await self._lead(self._made.leader.reconsider)

    def _plan(self) -> None:
        """Plan the next question to the server; only an idle device asks."""
        if self._schedule is None:
            return
        due = self._schedule.next_at - self._clock()
        self._work.set_timer(max(0.0, due), lambda: self._work.spawn(self._ask()))
        self._viewer.show(next_check=self._schedule.poll_at)

    async def _ask(self) -> None:
        """Do what is due: send the inventory, ask for an update."""
        assert self._schedule is not None
        now = self._clock()
        if self._schedule.inventory_at <= now and not await self._tell_inventory():
            return
        if self._schedule.poll_at <= now:
            # Before the answer: an update that is found may take until the next reboot.
            self._schedule = self._schedule.polled(now, random.random)
            await self._lead(self._made.leader.poll)
        elif self._record is None:
            self._plan()

    async def _tell_inventory(self) -> bool:
        """Send the inventory; return whether the server can be asked for an update after that."""
        assert self._schedule is not None
        try:
            await self._work.run(lambda: self._made.leader.send_inventory(full=False))
        except TransientServerError as e:
            self._failed(e)
            return False
        except BistableError as e:
            # Whatever it is, it must not keep the device from its updates. It is tried again when it is due again.
            log.info("%s", e.what)
        self._schedule = self._schedule.sent(self._clock(), random.random)
        return True

    def _again(self, seconds: float | None, work: Callable[[], Stand]) -> None:
        """Do something later; with None only when something changes."""
        if seconds is None:
            self._work.clear_timer()
        else:
            self._work.set_timer(seconds, lambda: self._work.spawn(self._lead(work)))

    # --- what other threads tell

    def changed(self) -> None:
        """Learn, in any thread, that somebody holds an update or does not any more."""
        self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._viewer.show(holders=self._made.inhibitors.views())
        self._changed = True
        if self._record is not None and self._record.state in PAUSES and not self._leading:
            self._reconsider()

    def _reconsider(self) -> None:
        self._again(max(SOONEST, self._all_back_at - self._clock()), self._made.leader.reconsider)

    def entered(self, record: Record) -> None:
        """Learn, in the worker thread, in which state the update is."""
        self._loop.call_soon_threadsafe(self._show_record, record)

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

    def _show_record(self, record: Record) -> None:
        if self._just_started and self._record is None and record.state in PAUSES:
            # It waited before the service started. A pause that begins later is held by whoever is there.
            self._all_back_at = self._clock() + RETURN_PATIENCE
        self._record = record
        point = PAUSES.get(record.state)
        self._viewer.show_record(record, () if point is None else self._made.holding.gates.holders(point, record))

    def _show(self, stand: Stand) -> None:
        if stand.record is not None:
            self._show_record(stand.record)
        else:
            self._record = None
            self._viewer.show_idle(stand.ended, stand.trouble)
        if stand.last is not None or not self._device_shown:
            self._work.spawn(self._show_device())

    async def _show_device(self) -> None:
        slots, name = await self._work.run(lambda: look_at_device(self._made.device, self._made.store))
        self._viewer.show(slots=slots, current_artifact=name)
        self._device_shown = True

    # --- calls

    async def check(self) -> None:
        """Ask the server for an update now."""
        if self._schedule is None:
            raise ClientError("cannot ask for an update: no server is configured", hint="set server.urls")
        self._refuse_busy("check")
        self._schedule = self._schedule.now(self._clock())
        self._plan()

    async def send_inventory(self) -> None:
        """Send the whole inventory now."""
        await self._work.run(lambda: self._made.leader.send_inventory(full=True))
        if self._schedule is not None:
            self._schedule = self._schedule.sent(self._clock(), random.random)

    async def install(self, where: str, job: str, stops: Sequence[Point]) -> str:
        """Begin an update; return its id at once."""
        name = job or str(uuid.uuid4())
        if job and any(ended.id == job for ended in self._made.store.history()):
            # Whoever asks again did not hear that it was begun; by now it is over.
            return job
        if name == self._coming or (self._record is not None and self._record.id == name):
            return name
        self._refuse_busy("install")
        self._coming = name
        self._work.spawn(self._install(where, name, stops))
        return name

    async def _install(self, where: str, name: str, stops: Sequence[Point]) -> None:
        try:
            stand = await self._led(lambda: self._made.leader.install(where, name, stops))
        except BistableError as e:
            # Not tried again later, also if somebody else was faster: who asked for it may not want it any more then.
            self._failed(e)
        else:
            self._rest(stand)
        finally:
            self._coming = ""

    async def pause(self, points: Sequence[Point], update_id: str, *, who: str) -> None:
        """Hold the update in progress at points."""
        record = self._require(update_id, "pause", hint="inhibit holds those to come")
        # Not in the worker: what is to be held may be at work there.
        pause = Pause(who=who, why="asked for a pause")
        opened = {point for point in record.passes if point is not PAUSES.get(record.state)}
        self._made.holding.pauses.ask(points, record.id, pause, opened=opened)
        self._look()

    async def proceed(self, update_id: str, point: Point, *, force: bool) -> None:
        """Let an update go on that waits at a point."""
        record = self._require(update_id, "go on")
        if PAUSES.get(record.state) is not point:
            pauses = self._made.holding.pauses
            if pauses.at(point, record.id) is None:
                raise NotHeldError(f"cannot go on: the update does not wait before the {point.value}")
            pauses.take_back(point, record.id)
            return
        self._work.spawn(self._lead(lambda: self._made.leader.proceed(record.id, point, force=force)))

    async def abort(self, update_id: str, reason: str) -> None:
        """Stop the update; what was installed is rolled back."""
        record = self._require(update_id, "abort")
        if (record.state, Event.ABORTED) not in TABLE:
            raise UsageError(f"cannot abort: the update is in the state {record.state.value}")
        self._made.brake.abort(record.id, reason)
        self._work.spawn(self._lead(lambda: self._made.leader.abort(record.id, reason)))

    async def commit(self) -> None:
        """Keep the update on trial."""
        self._require_trial("commit")
        self._work.spawn(self._lead(self._made.leader.commit))

    async def rollback(self) -> None:
        """Undo the update that is not permanent yet."""
        self._require_trial("roll back")
        self._work.spawn(self._lead(self._made.leader.rollback))

    def _require(self, update_id: str, verb: str, *, hint: str | None = None) -> Record:
        record = self._record
        if record is None or (update_id and update_id != record.id):
            raise NothingToDoError(f"cannot {verb}: there is no such update in progress", hint=hint)
        return record

    def _require_trial(self, verb: str) -> None:
        record = self._require("", verb)
        if record.state not in ON_TRIAL:
            raise UsageError(f"cannot {verb}: the update is in the state {record.state.value}")

    def inhibit(self, points: Sequence[Point], who: str, why: str, mode: str, seconds: float | None) -> Held:
        """Hold updates at points until `release`."""
        # Whoever held before the service started has come back, or another one holds in its place.
        self._all_back_at = min(self._all_back_at, self._clock())
        return self._made.inhibitors.hold(points, who, why, mode, seconds)

    async def set_control_map(self, text: str) -> int:
        """Take an update control map."""
        return self._made.holding.maps.set_local(text)

    def control_maps(self) -> str:
        """Return all maps and what they come to, as JSON."""
        return describe_maps(self._made.holding.maps, "" if self._record is None else self._record.id)

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
        if self._schedule is None:
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
        if self._record is not None or self._coming:
            state = State.IDLE if self._record is None else self._record.state
            raise BusyError(
                f"cannot {verb}: an update is in progress, in the state {state.value}",
                hint="it can go on or be aborted",
            )


async def _tolerant(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except BistableError as e:
        log.info("%s", e.what)
