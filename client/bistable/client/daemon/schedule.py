"""When the server is asked: a value that is changed by what happened, without a clock of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bistable.client.server import backoff

JITTER = 0.1
"""The part of an interval by which polls are spread: a fleet that was switched on at once does not poll at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """How often what is done, in seconds; `retry` is the longest wait after a failure."""

    poll: float
    inventory: float
    retry: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When to ask for updates and to send the inventory next; moments are seconds of CLOCK_BOOTTIME."""

    intervals: Intervals
    poll_at: float
    inventory_at: float
    failures: int = 0

    def polled(self, now: float, spread: Callable[[], float]) -> "Schedule":
        """Return what follows a question; how it is answered is not known yet."""
        return replace(self, poll_at=now + _spread(self.intervals.poll, spread))

    def answered(self) -> "Schedule":
        """Return what follows an answer: the next failure is the first one."""
        return replace(self, failures=0)

    def sent(self, now: float, spread: Callable[[], float]) -> "Schedule":
        """Return what follows an inventory that was sent."""
        return replace(self, inventory_at=now + _spread(self.intervals.inventory, spread))

    def failed(self, now: float, spread: Callable[[], float], asked: float | None) -> "Schedule":
        """Return what follows a failure; `asked` is for how long the server wants to be left alone."""
        wait = backoff(self.failures, self.intervals.retry) or self.intervals.poll
        at = now + max(_spread(min(wait, self.intervals.poll), spread), asked or 0.0)
        return replace(self, poll_at=at, inventory_at=max(self.inventory_at, at), failures=self.failures + 1)

    def now(self, now: float) -> "Schedule":
        """Return that an update is asked for at once."""
        return replace(self, poll_at=now)

    def inventory_now(self, now: float) -> "Schedule":
        """Return that the inventory is sent at once."""
        return replace(self, inventory_at=now)

    @property
    def next_at(self) -> float:
        """When something is due."""
        return min(self.poll_at, self.inventory_at)


def _spread(seconds: float, spread: Callable[[], float]) -> float:
    """Return an interval that is shorter by up to a tenth."""
    return seconds * (1 - JITTER * spread())
