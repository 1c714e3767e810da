"""What a console said, with the times when it was read: lines, what they show of a boot, and the phases of it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bistable.tools.bench.console import ESCAPES
from bistable.tools.bringup.suite.result import Event, EventKind, Lane, Phase

_LOADERS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"U-Boot SPL \d",
        r"U-Boot \d",
        r"UEFI firmware \(version",
        r"BdsDxe: loading Boot",
        r"bistable: copies=",
        r"bistable: (?:booting|trying|passed over) slot",
    )
)
"""What firmware and boot loaders say once in each boot. The last one is said again for the next slot."""

_FIRST: Final = _LOADERS[:-1]
_KERNEL: Final = re.compile(
    r"Starting kernel \.\.\.|EFI stub: (?:Booting|Loaded)|\] Linux version |\] Booting Linux on physical CPU"
)
_PANIC: Final = re.compile(r"(?<!end )Kernel panic - not syncing: .*")
"""A kernel that stays there says so once more at the end."""

_BUILD: Final = re.compile(r"(Linux version \S+) .*")
"""Who built it, and with what, is of no interest."""

_TOLD: Final = re.compile(
    r"bistable: .*|.*Linux version .*|.*Kernel panic - not syncing: .*|.*U-Boot (?:SPL )?\d.*|BdsDxe: .*"
    r"|Starting kernel.*"
)
"""Lines that tell what a boot did."""

_ASKED: Final = frozenset({EventKind.POWER_ON, EventKind.REBOOT, EventKind.RESET})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a console, without control characters, and when its end was read."""

    at: float
    text: str


def lines_of(heard: Iterable[tuple[float, str]], began: float) -> Iterator[Line]:
    """Yield the lines of what was heard, with times from `began` on."""
    rest, at = "", 0.0
    for moment, text in heard:
        at = moment - began
        *whole, rest = (rest + text).split("\n")
        yield from (Line(at=at, text=_clean(line)) for line in whole)
    if rest.strip():
        yield Line(at=at, text=_clean(rest))


def _clean(line: str) -> str:
    return "".join(c for c in ESCAPES.sub("", line) if c.isprintable() or c == "\t").rstrip()


def telling(lines: Iterable[Line], start: float, end: float) -> Iterator[str]:
    """Yield what tells of boots between two times."""
    for line in lines:
        if start <= line.at <= end and _TOLD.fullmatch(line.text.strip()):
            yield _BUILD.sub(r"\1", line.text.strip())


def seen_in(lines: Iterable[Line]) -> Iterator[Event]:
    """Yield what the lines show: boot loaders, kernels and panics that begin to speak."""
    said: set[str] = set()
    in_loader = False
    for line in lines:
        loader = next((pattern.pattern for pattern in _FIRST if pattern.search(line.text)), None)
        if loader is not None:
            # Who says the same once more has started again.
            if not in_loader or loader in said:
                said.clear()
                yield Event(at=line.at, kind=EventKind.LOADER)
            in_loader = True
            said.add(loader)
        elif in_loader and _KERNEL.search(line.text):
            in_loader = False
            yield Event(at=line.at, kind=EventKind.KERNEL)
        elif panic := _PANIC.search(line.text):
            yield Event(at=line.at, kind=EventKind.PANIC, what=panic[0])


def merged(done: Iterable[Event], seen: Iterable[Event]) -> Sequence[Event]:
    """Return all events in their order; a boot loader that speaks although nobody asked for a boot is a reset."""
    events: list[Event] = []
    asked = False
    for event in sorted([*done, *seen], key=lambda event: event.at):
        if event.kind in _ASKED:
            asked = True
        elif event.kind is EventKind.LOADER:
            if not asked:
                events.append(Event(at=event.at, kind=EventKind.SELF_RESET))
            asked = False
        elif event.kind is EventKind.UP:
            asked = False
        events.append(event)
    return events


def phases_of(events: Iterable[Event], end: float) -> Iterator[Phase]:
    """Yield what the device did when, until `end`."""
    power: float | None = None
    lane: Lane | None = None
    since = 0.0
    for event in [*events, Event(at=end, kind=EventKind.POWER_CUT)]:
        into = _lane_after(event, lane)
        if into is not lane:
            if lane is not None and event.at > since:
                yield Phase(lane=lane, start=since, end=event.at)
            lane, since = into, event.at
        if event.kind is EventKind.POWER_ON:
            power = event.at
        elif event.kind is EventKind.POWER_CUT and power is not None:
            yield Phase(lane=Lane.POWER, start=power, end=event.at)
            power = None


def _lane_after(event: Event, lane: Lane | None) -> Lane | None:
    match event.kind:
        case EventKind.POWER_CUT:
            return None
        case EventKind.POWER_ON | EventKind.RESET | EventKind.LOADER:
            return Lane.LOADER
        case EventKind.KERNEL:
            return Lane.KERNEL
        case EventKind.UP:
            return {"a": Lane.SLOT_A, "b": Lane.SLOT_B}.get(event.what, lane)
        case _:
            return lane
