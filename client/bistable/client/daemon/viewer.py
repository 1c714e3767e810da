"""What is to be seen of the service: one view, changed as a whole, and who is told of each change."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from bistable.client.bus.ports import ProgressView, SlotView, View
from bistable.client.deployment.device import Device
from bistable.client.deployment.gates import Holder
from bistable.client.errors import ClientError
from bistable.client.machine import ON_TRIAL, PAUSES, TABLE, Event, Mark, Record, State, Trouble
from bistable.client.store import Ended, Store

log = logging.getLogger(__name__)

SETTLED: Final = 0.5
"""Seconds of a download before which its rate is a guess."""


class Viewer:
    """Holds the view. All calls are made in the event loop."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[View, View], None]] = []
        self._began: tuple[int, float] | None = None
        self.view = View(state=State.IDLE.value)

    def subscribe(self, listener: Callable[[View, View], None]) -> None:
        """Have `listener` called with the view before and after each change."""
        self._listeners.append(listener)

    def show(self, **changes: object) -> None:
        """Change parts of the view at once."""
        before, self.view = self.view, replace(self.view, **changes)  # type: ignore[arg-type]
        if before != self.view:
            for listener in self._listeners:
                listener(before, self.view)

    def show_record(self, record: Record, holders: Sequence[Holder]) -> None:
        """Show the update in progress, and who holds it."""
        if record.state is not State.DOWNLOAD:
            self._began = None  # the rate of the next download is its own
        point = PAUSES.get(record.state)
        awaited = record.state in {State.REBOOT, State.ROLLBACK_REBOOT} and record.mark is Mark.STARTED
        self.show(
            state=record.state.value,
            update_id=record.id,
            artifact="" if record.offer is None else record.offer.name,
            held_at="" if point is None else point.value,
            held_by=tuple(str(holder) for holder in holders),
            actions=_actions(record),
            progress=self.view.progress if record.state is State.DOWNLOAD else None,
            reboot_required=awaited or record.state is State.PAUSED_REBOOT,
            **_error(record.trouble),
        )

    def show_idle(self, ended: Ended | None, trouble: Trouble | None) -> None:
        """Show that there is no update, and in the same change how the last one ended."""
        self._began = None
        result = {} if ended is None else {"last_result": ended.result, **_error(trouble)}
        self.show(
            state=State.IDLE.value,
            update_id="",
            artifact="",
            held_at="",
            held_by=(),
            progress=None,
            reboot_required=False,
            substate="",
            actions=_actions(None),
            **result,
        )

    def show_progress(self, done: int, total: int | None) -> None:
        """Show how far the artifact is in."""
        now = time.monotonic()
        if self._began is None or done < self._began[0]:
            self._began = (done, now)
        first, since = self._began
        elapsed = now - since
        rate = (done - first) / elapsed if elapsed > SETTLED else None
        left = (total - done) / rate if rate and total is not None else None
        self.show(progress=ProgressView(done=done, total=total, rate=rate, left=left))


def look_at_device(device: Device, store: Store) -> tuple[tuple[SlotView, ...], str]:
    """Return the slots, and the artifact that the device runs; the boot loader may take a moment to answer."""
    name = store.provides().get("artifact_name", "")
    try:
        if device.pair is None:
            return (), name
        running = device.running()
        slots = []
        for slot in (device.pair.a, device.pair.b):
            status = device.bootloader.status(slot.name)
            slots.append(
                SlotView(
                    name=slot.name,
                    device=str(slot.device),
                    running=slot.name == running,
                    bootable=status.bootable,
                    good=status.good,
                    tries_left=status.tries_left,
                )
            )
    except ClientError as e:
        log.info("%s", e.what)
        return (), name
    return tuple(slots), name


def _error(trouble: Trouble | None) -> dict[str, str]:
    return {
        "last_error_code": "" if trouble is None else trouble.code,
        "last_error": "" if trouble is None else trouble.what,
    }


def _actions(record: Record | None) -> tuple[str, ...]:
    """Return what may be called now."""
    if record is None:
        return ("install",)
    found = []
    if record.state in PAUSES:
        found.append("continue")
    if (record.state, Event.ABORTED) in TABLE:
        found.append("abort")
    if record.state in ON_TRIAL:
        found += ["commit", "rollback"]
    return tuple(found)
