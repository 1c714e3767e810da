"""What the service does by itself, over time: leads the update, looks again at one that waits, asks the server."""

import logging
import random
from collections.abc import Callable
from typing import Final

from bistable.artifact.errors import BistableError
from bistable.client.bus.ports import SlotView
from bistable.client.daemon.asker import Asker
from bistable.client.daemon.inhibitors import Inhibitors
from bistable.client.daemon.leader import Holding, Leader
from bistable.client.daemon.schedule import Schedule
from bistable.client.daemon.viewer import Viewer
from bistable.client.daemon.work import Work
from bistable.client.deployment.engine import Stand
from bistable.client.errors import BusyError, StoreError
from bistable.client.machine import PAUSES, Record
from bistable.client.server import TransientServerError

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


class Course:
    """The course of things: whatever is done, it plans what is done next. All calls are made in the event loop.

    `clock` is CLOCK_BOOTTIME. Without a server there is no `schedule`.
    """

    def __init__(
        self,
        work: Work,
        viewer: Viewer,
        clock: Callable[[], float],
        *,
        leader: Leader,
        asker: Asker,
        holding: Holding,
        inhibitors: Inhibitors,
        schedule: Schedule | None,
        look_at_device: Callable[[], tuple[tuple[SlotView, ...], str]],
    ) -> None:
        self._work, self._viewer, self._clock = work, viewer, clock
        self._leader, self._asker = leader, asker
        self._holding, self._inhibitors = holding, inhibitors
        self._schedule, self._look_at_device = schedule, look_at_device
        self.record: Record | None = None
        """The update in progress."""
        self._leading = 0
        self._told_at = clock()
        """When the server last heard of a pause."""
        self._changed = False
        """Somebody began or ceased to hold something since a pause was last looked at."""
        self._just_started = True
        self._all_back_at = clock()
        self._device_shown = False

    # --- the update is led

    async def lead(self, act: Callable[[], Stand]) -> None:
        """Do something with the update, then see when to do the next thing."""
        try:
            stand = await self._led(act)
        except BusyError:
            self._again(BUSY_PATIENCE, act)
        except StoreError as e:
            log.warning("%s", e.what)
            self._again(STORE_PATIENCE, act)
        except BistableError as e:
            self._failed(e)
        else:
            self._rest(stand)

    async def lead_once(self, act: Callable[[], Stand]) -> None:
        """Do the same, but do not try it again later, also if somebody else was faster."""
        try:
            stand = await self._led(act)
        except BistableError as e:
            self._failed(e)
        else:
            self._rest(stand)

    def entered(self, record: Record) -> None:
        """Learn in which state the update is."""
        if self._just_started and self.record is None and record.state in PAUSES:
            # It waited before the service started. A pause that begins later is held by whoever is there.
            self._all_back_at = self._clock() + RETURN_PATIENCE
        self.record = record
        self._viewer.show_record(record, self._holding.holders(record))

    async def _led(self, act: Callable[[], Stand]) -> Stand:
        # Who holds the update is asked in there; what changes later is looked at after it.
        self._changed = False
        self._leading += 1
        try:
            return await self._work.run(act)
        finally:
            self._leading -= 1

    def _failed(self, error: BistableError) -> None:
        """Show an error, and go on with what there is: a pause, or the next question to the server."""
        log.info("%s", error.what)
        self._viewer.show(last_error_code=getattr(error, "code", "artifact"), last_error=error.what)
        if self.record is not None:
            if self.record.state in PAUSES:
                self._wait_on()
            else:
                self._again(STORE_PATIENCE, self._leader.recover)
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
            self._again(REBOOT_PATIENCE, self._leader.recover)

    def _again(self, seconds: float, act: Callable[[], Stand]) -> None:
        """Do something with the update later."""
        self._work.plan(seconds, lambda: self.lead(act))

    # --- the update waits

    def look(self) -> None:
        """Look who holds the update: somebody does, or does not any more."""
        self._viewer.show(holders=self._inhibitors.views())
        self._changed = True
        if self.record is not None and self.record.state in PAUSES and not self._leading:
            self._reconsider()

    def returned(self) -> None:
        """Learn that whoever held before the service started has come back, or another one holds in its place."""
        self._all_back_at = min(self._all_back_at, self._clock())

    def _wait_on(self) -> None:
        """Plan the next look at a paused update."""
        if self._just_started:
            # Nobody knows for how long the service was gone, and what the server has said since.
            self._work.plan(0.0, self._refresh)
        elif self._changed:
            # While the worker looked at it.
            self._reconsider()
        elif (wait := self._next_look()) is not None:
            self._work.plan(wait, self._refresh)
        else:
            # Nothing changes by itself.
            self._work.plan_nothing()

    def _next_look(self) -> float | None:
        """Return the seconds until something about who holds an update changes by itself, or the server is asked."""
        waits = [self._holding.maps.wait(), self._inhibitors.next_end(), self._tell_after()]
        known = [wait for wait in waits if wait is not None]
        return max(min(known), SOONEST) if known else None

    def _tell_after(self) -> float | None:
        """Return the seconds until a server without a map is told again that the update waits."""
        record = self.record
        if self._schedule is None or record is None or not record.offered:
            return None
        if self._holding.maps.has_server_map(record.id):
            return None
        return self._told_at + self._schedule.intervals.poll - self._clock()

    async def _refresh(self) -> None:
        """Look at a paused update again, by the clock and by what the server says."""
        record = self.record
        if record is None or record.state not in PAUSES or self._leading:
            return
        tell = self._tell_after()
        maps = self._holding.maps
        at_once, self._just_started = self._just_started, False
        try:
            maps.tick()
            gone = None
            known = record.offered and maps.has_server_map(record.id)
            if known and (at_once or maps.refresh_due(record.id)):
                gone = await self._work.run_aside(lambda: self._holding.gates.ask(record.id))
            elif tell is not None and tell <= 0:
                gone = await self._work.run_aside(
                    lambda: self._asker.tell_in_pause(record, self._holding.holders(record))
                )
        except StoreError as e:
            log.warning("%s", e.what)
            self._again(STORE_PATIENCE, self._leader.reconsider)
            return
        now = self.record
        if now is None or (now.id, now.state) != (record.id, record.state) or self._leading:
            return  # somebody was faster
        if gone is not None:
            reason = gone
            await self.lead(lambda: self._leader.abort(record.id, reason))
        elif self._clock() < self._all_back_at:
            self._reconsider()
        else:
            await self.lead(self._leader.reconsider)

    def _reconsider(self) -> None:
        self._again(max(SOONEST, self._all_back_at - self._clock()), self._leader.reconsider)

    # --- the server is asked

    @property
    def asks(self) -> bool:
        """Whether there is a server to ask."""
        return self._schedule is not None

    def ask_now(self) -> None:
        """Ask for an update now, as an idle device may."""
        assert self._schedule is not None
        self._schedule = self._schedule.now(self._clock())
        self._plan()

    async def send_inventory(self) -> None:
        """Send the whole inventory now."""
        await self._work.run(lambda: self._leader.send_inventory(full=True))
        if self._schedule is not None:
            self._schedule = self._schedule.sent(self._clock(), random.random)

    def _plan(self) -> None:
        """Plan the next question to the server; only an idle device asks."""
        if self._schedule is None:
            return
        self._work.plan(max(0.0, self._schedule.next_at - self._clock()), self._ask)
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
            await self.lead(self._leader.poll)
        elif self.record is None:
            self._plan()

    async def _tell_inventory(self) -> bool:
        """Send the inventory; return whether the server can be asked for an update after that."""
        assert self._schedule is not None
        try:
            await self._work.run(lambda: self._leader.send_inventory(full=False))
        except TransientServerError as e:
            self._failed(e)
            return False
        except BistableError as e:
            # Whatever it is, it must not keep the device from its updates. It is tried again when it is due again.
            log.info("%s", e.what)
        self._schedule = self._schedule.sent(self._clock(), random.random)
        return True

    # --- what is seen of it

    def _show(self, stand: Stand) -> None:
        if stand.record is not None:
            self.entered(stand.record)
        else:
            self.record = None
            self._viewer.show_idle(stand.ended, stand.trouble)
        if stand.last is not None or not self._device_shown:
            self._work.spawn(self._show_device())

    async def _show_device(self) -> None:
        slots, name = await self._work.run(self._look_at_device)
        self._viewer.show(slots=slots, current_artifact=name)
        self._device_shown = True
