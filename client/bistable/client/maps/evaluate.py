"""What all maps together say at a point: one pure function."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from bistable.client.maps.entry import Entry, Key
from bistable.client.maps.model import Action, Source
from bistable.client.maps.offline import OfflinePolicy
from bistable.client.model import Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """At which point of which deployment it is asked. The pauses of `waived` sources say nothing there."""

    point: Point
    deployment: str
    waived: frozenset[Source] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What one map says, and until when, in seconds of CLOCK_BOOTTIME, if it is not refreshed and that ends it."""

    source: Source
    id: str
    priority: int
    action: Action
    until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the maps come to: CONTINUE, PAUSE or FAIL, and the maps that say so; none if nothing is said."""

    action: Action
    by: tuple[Voice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A decision, and the maps that were asked for it: those of lower priority than the one that decides are not."""

    decision: Decision
    asked: frozenset[Key]


def evaluate(entries: Iterable[Entry], question: Question, now: float, policy: OfflinePolicy) -> Outcome:
    """Return what the maps say.

    From the highest priority on: in one with a `fail` that is it, else with a `pause` that, else with a
    `force_continue` the update goes on; one without any of them leaves it to the next.
    """
    heard = [
        (entry.key, _voice(entry, question, now, policy))
        for entry in entries
        if question.point in entry.control_map.states and entry.applies_to(question.deployment)
    ]
    heard.sort(key=lambda one: (-one[0].priority, one[0].source.value, one[0].id))
    asked: set[Key] = set()
    for _, level in groupby(heard, key=lambda one: one[0].priority):
        said = list(level)
        asked |= {key for key, _ in said}
        for action in (Action.FAIL, Action.PAUSE, Action.FORCE_CONTINUE):
            by = tuple(voice for _, voice in said if voice.action is action)
            if action is Action.PAUSE:
                by = tuple(voice for voice in by if voice.source not in question.waived)
            if by:
                final = Action.CONTINUE if action is Action.FORCE_CONTINUE else action
                return Outcome(decision=Decision(action=final, by=by), asked=frozenset(asked))
    return Outcome(decision=Decision(action=Action.CONTINUE), asked=frozenset(asked))


def _voice(entry: Entry, question: Question, now: float, policy: OfflinePolicy) -> Voice:
    return Voice(
        source=entry.source,
        id=entry.control_map.id,
        priority=entry.control_map.priority,
        action=entry.action(question.point, now, policy),
        until=entry.until(question.point, now, policy),
    )
