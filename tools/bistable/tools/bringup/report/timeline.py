"""The timeline of a run: where things lie in a picture, in its own units. No drawing: that is the template's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bistable.tools.bringup.suite.result import CaseResult, Event, EventKind, Lane, Phase, SuiteResult

WIDTH: Final = 1120
LEFT: Final = 96
"""Room for the names of the lanes."""

RIGHT: Final = 14
LABELS: Final = 58
"""Room above the lanes for the numbers of the cases."""

LANE: Final = 26
BAR: Final = 16
LANES: Final[Sequence[Lane]] = (Lane.POWER, Lane.LOADER, Lane.KERNEL, Lane.SLOT_A, Lane.SLOT_B)
AXIS: Final = 34
LEAST: Final = 1.2
"""The least width of a bar: what was short is seen, too."""

_TICKS: Final = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MOST_TICKS: Final = 14

_MARKS: Final = {
    EventKind.POWER_CUT: "cut",
    EventKind.RESET: "reset",
    EventKind.SELF_RESET: "self",
    EventKind.PANIC: "panic",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A case: its number from 1, its place, and whether its number fits in."""

    number: int
    case: CaseResult
    x: float
    width: float
    has_room: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A phase in its lane."""

    lane: Lane
    x: float
    y: float
    width: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A reset, a power cut or a panic."""

    kind: str
    x: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A time on the axis."""

    x: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A picture of a run."""

    height: float
    top: float
    bottom: float
    lanes: Sequence[tuple[Lane, float]]
    bands: Sequence[Band]
    bars: Sequence[Bar]
    marks: Sequence[Mark]
    ticks: Sequence[Tick]
    words: str
    """What it shows, for those who do not see it."""


def timeline(result: SuiteResult) -> Timeline:
    """Return where everything of a run lies."""
    top, bottom = float(LABELS), float(LABELS + LANE * len(LANES))
    scale = (WIDTH - LEFT - RIGHT) / max(result.seconds, 1.0)
    return Timeline(
        height=bottom + AXIS,
        top=top,
        bottom=bottom,
        lanes=[(lane, top + LANE * row) for row, lane in enumerate(LANES)],
        bands=list(_bands(result.cases, scale)),
        bars=[_bar(phase, scale, top) for phase in result.phases],
        marks=[_mark(event, scale) for event in result.events if event.kind in _MARKS],
        ticks=list(_ticks(result.seconds, scale)),
        words=_words(result),
    )


def duration(seconds: float) -> str:
    """Return a time for people: `4.2 s`, `3:05`, `1:02:33`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return _clock(round(seconds))


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bands(cases: Sequence[CaseResult], scale: float) -> Iterator[Band]:
    for number, case in enumerate(cases, start=1):
        width = case.seconds * scale
        yield Band(number=number, case=case, x=_x(case.start, scale), width=round(width, 1), has_room=width > 16)


def _bar(phase: Phase, scale: float, top: float) -> Bar:
    row = LANES.index(phase.lane)
    return Bar(
        lane=phase.lane,
        x=_x(phase.start, scale),
        y=top + LANE * row + (LANE - BAR) / 2,
        width=round(max(LEAST, (phase.end - phase.start) * scale), 1),
        words=f"{phase.lane.value}: from {_clock(round(phase.start))}, for {duration(phase.end - phase.start)}",
    )


def _mark(event: Event, scale: float) -> Mark:
    what = {
        EventKind.POWER_CUT: "power cut",
        EventKind.RESET: "reset by a switch",
        EventKind.SELF_RESET: "reset by the board itself",
    }.get(event.kind, event.what)
    return Mark(kind=_MARKS[event.kind], x=_x(event.at, scale), words=f"{what}, at {_clock(round(event.at))}")


def _ticks(seconds: float, scale: float) -> Iterator[Tick]:
    step = next((step for step in _TICKS if seconds / step <= _MOST_TICKS), _TICKS[-1])
    for number in range(int(seconds // step) + 1):
        yield Tick(x=_x(number * step, scale), words=_clock(number * step))


def _x(seconds: float, scale: float) -> float:
    return round(LEFT + seconds * scale, 1)


def _words(result: SuiteResult) -> str:
    kinds = [event.kind for event in result.events]
    resets = kinds.count(EventKind.RESET) + kinds.count(EventKind.SELF_RESET)
    counted = (
        (len(result.cases), "case"),
        (kinds.count(EventKind.UP), "boot"),
        (kinds.count(EventKind.POWER_CUT), "power cut"),
        (resets, "reset"),
        (kinds.count(EventKind.PANIC), "kernel panic"),
    )
    what = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counted)
    return f"Timeline of {duration(result.seconds)}: {what}."
