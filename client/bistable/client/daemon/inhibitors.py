"""Applications that hold updates for as long as they want to, and live."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from bistable.client.bus.ports import HolderView
from bistable.client.deployment.gates import Holder
from bistable.client.errors import UsageError
from bistable.client.model import Point

BLOCK: Final = "block"
DELAY: Final = "delay"
LONGEST_DELAY: Final = 600.0
"""Seconds that an application may delay an update which it does not block."""

MOST: Final = 64
"""Holds at a time; far more than there are applications on a device."""

WORDS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """One hold. `until` is in seconds of CLOCK_BOOTTIME."""

    points: tuple[Point, ...]
    who: str
    why: str
    mode: str
    until: float | None


class Inhibitors:
    """All holds of applications. Every method may be called from any thread; `on_change` is called in that one."""

    def __init__(self, clock: Callable[[], float], on_change: Callable[[], None]) -> None:
        self._clock, self._on_change = clock, on_change
        self._lock = Lock()
        self._held: dict[int, Inhibition] = {}
        self._next = 0

    def hold(self, points: Sequence[Point], who: str, why: str, mode: str, seconds: float | None) -> "Held":
        """Hold updates at points.

        Raises:
            UsageError: it makes no sense, or there are too many already.
        """
        if not points or mode not in {BLOCK, DELAY}:
            raise UsageError(f"cannot hold updates: it takes points, and {BLOCK} or {DELAY}")
        if mode == DELAY:
            seconds = min(LONGEST_DELAY if seconds is None else seconds, LONGEST_DELAY)
        until = None if seconds is None else self._clock() + seconds
        made = Inhibition(points=tuple(points), who=who[:WORDS], why=why[:WORDS], mode=mode, until=until)
        with self._lock:
            if len(self._held) >= MOST:
                raise UsageError(f"cannot hold updates: {MOST} applications do so already")
            number, self._next = self._next, self._next + 1
            self._held[number] = made
        self._on_change()
        return Held(self, number)

    def release(self, number: int) -> None:
        """Let go of one hold; once or more."""
        with self._lock:
            gone = self._held.pop(number, None)
        if gone is not None:
            self._on_change()

    def holders(self, point: Point) -> Sequence[Holder]:
        """Return who holds any update at a point now."""
        return [Holder(who=one.who, why=one.why, until=one.until) for one in self._now() if point in one.points]

    def views(self) -> tuple[HolderView, ...]:
        """Return all holds, for showing them."""
        return tuple(
            HolderView(who=one.who, why=one.why, points=one.points, mode=one.mode, until=one.until)
            for one in self._now()
        )

    def next_end(self) -> float | None:
        """Return the seconds until the next hold ends by itself; None if none does."""
        now = self._clock()
        ends = [one.until - now for one in self._now() if one.until is not None]
        return min(ends, default=None)

    def _now(self) -> list[Inhibition]:
        now = self._clock()
        with self._lock:
            return [one for one in self._held.values() if one.until is None or one.until > now]


class Held:
    """A hold that was granted."""

    def __init__(self, inhibitors: Inhibitors, number: int) -> None:
        self._inhibitors, self._number = inhibitors, number

    def release(self) -> None:
        """Let go; once or more."""
        self._inhibitors.release(self._number)
