"""Holds that last as long as their holder: a pipe whose reading end the holder keeps, and its place on the bus."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bistable.client.bus.failures import LimitError
from bistable.client.bus.ports import Held

MOST: Final = 64
MOST_PER_USER: Final = 16
"""Holds at a time. A device has a handful of applications; more is a fault in one of them."""

LONGEST: Final = 366 * 24 * 3600
"""Seconds. What is longer is for ever, and timers do not take any number."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Hold:
    ours: int
    """The writing end. Nothing is written: it tells that the other end is closed."""
    sender: str | None
    uid: int
    held: Held
    timer: asyncio.TimerHandle | None


class Holds:
    """All holds of applications on the bus; `watch` and `unwatch` are called with names whose end is to be told."""

    def __init__(self, watch: Callable[[str], None], unwatch: Callable[[str], None]) -> None:
        self._watch, self._unwatch = watch, unwatch
        self._holds: set[_Hold] = set()

    def __len__(self) -> int:
        return len(self._holds)

    def check_room(self, uid: int) -> None:
        """Return if one more is allowed.

        Raises:
            LimitError: there are too many.
        """
        if len(self._holds) >= MOST:
            raise LimitError(f"cannot hold updates: {MOST} holds are there already")
        if sum(hold.uid == uid for hold in self._holds) >= MOST_PER_USER:
            raise LimitError(
                f"cannot hold updates: the user {uid} has {MOST_PER_USER} holds already",
                hint="close a descriptor that is not needed",
            )

    def keep(self, grant: Callable[[], Held], *, sender: str, uid: int, seconds: float | None) -> int:
        """Have a hold granted and return the descriptor for its holder.

        Raises:
            LimitError: there are too many, or there is no descriptor left.
            ClientError: it was not granted.
        """
        self.check_room(uid)
        try:
            theirs, ours = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as e:
            raise LimitError(f"cannot hold updates: {e.strerror}") from e
        loop = asyncio.get_running_loop()
        try:
            hold = _Hold(ours=ours, sender=sender, uid=uid, held=grant(), timer=None)
        except BaseException:
            os.close(theirs)
            os.close(ours)
            raise
        if seconds is not None and seconds <= LONGEST:
            hold.timer = loop.call_later(seconds, self._end, hold)
        # The end of the last reader is an error condition of the pipe, and that wakes up whoever waits to read.
        loop.add_reader(ours, self._end, hold)
        first = not self._has(sender)
        self._holds.add(hold)
        if first:
            self._watch(sender)
        return theirs

    def sender_gone(self, name: str) -> None:
        """Let go of all holds of a name that is no longer on the bus."""
        for hold in [one for one in self._holds if one.sender == name]:
            self._end(hold)

    def forget_senders(self) -> None:
        """Go on with the descriptors alone: after the bus has gone, its names mean nothing, or somebody else."""
        for hold in self._holds:
            hold.sender = None

    def end_all(self) -> None:
        """Let go of all."""
        for hold in list(self._holds):
            self._end(hold)

    def _has(self, sender: str) -> bool:
        return any(hold.sender == sender for hold in self._holds)

    def _end(self, hold: _Hold) -> None:
        if hold not in self._holds:
            return
        self._holds.remove(hold)
        if hold.timer is not None:
            hold.timer.cancel()
        asyncio.get_running_loop().remove_reader(hold.ours)
        os.close(hold.ours)
        if hold.sender is not None and not self._has(hold.sender):
            self._unwatch(hold.sender)
        hold.held.release()
