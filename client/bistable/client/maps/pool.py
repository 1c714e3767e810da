"""All maps that are in force, and the answers they give: values without a clock, a thread or a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bistable.client.maps.entry import LOCAL_MAPS, Entry, Key
from bistable.client.maps.evaluate import Decision, Outcome, Question, evaluate
from bistable.client.maps.model import ControlMap, MapError, Source
from bistable.client.maps.offline import OfflinePolicy
from bistable.client.model import Point

SHORTEST_WAIT: Final = 0.1
"""Seconds. However the numbers are rounded, nobody waits in circles."""

ASK_AGAIN: Final = 60.0
"""Seconds until a server that could not be asked is asked for the second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The last answer, by what it depended on. As long as nothing of that changes, it stays the answer.

    Without this, whoever asks again after a power cut would find that a `pause` was executed, and go on.
    """

    question: Question
    over: frozenset[Key]
    """What was outdated then."""
    executed: frozenset[Key]
    """What was asked for the first time then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The maps in force. Every change gives a new pool; `now` is in seconds of CLOCK_BOOTTIME."""

    policy: OfflinePolicy = field(default_factory=OfflinePolicy)
    entries: Mapping[Key, Entry] = field(default_factory=dict)
    asked: Asked | None = None

    # --- what changes

    def insert(
        self, control_map: ControlMap, source: Source, *, now: float, life: float, scoped: bool = False
    ) -> "Pool":
        """Return the pool with a new or refreshed map.

        A server's map replaces all there are of that identifier, whatever their priority, and the server's maps of
        other deployments. A local one replaces the local one with the same identifier and priority, and takes it away
        if it has no states; a server's map stays where it is, without states too: it says that the server is to be
        asked. Local maps that are `scoped` are out of the server's reach: they hold for one deployment beside its map.

        Raises:
            MapError: there are too many local maps.
        """
        entry = Entry(
            control_map=control_map,
            source=source,
            stamped=now,
            life=life,
            scoped=scoped or source is Source.SERVER,
        )
        if source is Source.SERVER:
            kept = self._without_server(control_map.id)
        elif control_map.states:
            kept = {key: one for key, one in self.entries.items() if key != entry.key}
            _check_room(kept)
        else:
            return self._only(lambda key, _: key != entry.key)
        return replace(self, entries={**kept, entry.key: entry}, asked=None)

    def remove_server_maps(self, deployment: str) -> "Pool":
        """Return the pool after a server answered that it has no map for a deployment."""
        kept = self._without_server(deployment)
        return self._only(lambda key, _: key in kept)

    def remove_deployment(self, deployment: str) -> "Pool":
        """Return the pool after a deployment is over: without all maps of that identifier."""
        return self._only(lambda key, _: key.id != deployment)

    def remove_expired(self, now: float) -> "Pool":
        """Return the pool without what is expired; for when there is no update in progress."""
        return self._only(lambda _, entry: now < entry.expires)

    def _without_server(self, identifier: str) -> dict[Key, Entry]:
        """What stays when a server says what it has for a deployment.

        A device has one deployment at a time: a map for another one was forgotten by somebody.
        """
        return {
            key: entry
            for key, entry in self.entries.items()
            if key.source is not Source.SERVER and (entry.scoped or key.id != identifier)
        }

    def _only(self, stays: Callable[[Key, Entry], bool]) -> "Pool":
        kept = {key: entry for key, entry in self.entries.items() if stays(key, entry)}
        return self if len(kept) == len(self.entries) else replace(self, entries=kept, asked=None)

    # --- what is asked

    def decide(self, question: Question, now: float) -> tuple[Decision, "Pool"]:
        """Return what the maps say at a point, and the pool after that: the maps that were asked are executed there.

        The new pool has to be kept before anybody acts on the decision.
        """
        outcome = self._outcome(question, now)
        executed = {key: self.entries[key].asked_at(question.point) for key in outcome.asked}
        if not executed or self._same(question, now):
            return outcome.decision, self
        first = frozenset(key for key in executed if question.point not in self.entries[key].executed)
        asked = Asked(question=question, over=self._over(question, now), executed=first)
        return outcome.decision, replace(self, entries={**self.entries, **executed}, asked=asked)

    def look(self, question: Question, now: float) -> Decision:
        """Return what the maps would say, without asking them."""
        return self._outcome(question, now).decision

    def standing(self, question: Question, now: float) -> Decision | None:
        """Return the last answer, if it was to this question and nothing changed since."""
        return self.look(question, now) if self._same(question, now) else None

    def merged(self, deployment: str, now: float) -> dict[Point, Decision]:
        """Return what the maps say at each point, and which of them say it."""
        return {point: self.look(self._last_or(point, deployment), now) for point in Point}

    def _last_or(self, point: Point, deployment: str) -> Question:
        """What holds now is the last answer, with what was waived in it."""
        if self.asked is not None:
            last = self.asked.question
            if (last.point, last.deployment) == (point, deployment):
                return last
        return Question(point=point, deployment=deployment)

    def _outcome(self, question: Question, now: float) -> Outcome:
        again = self.asked.executed if self.asked is not None and self._same(question, now) else frozenset()
        entries = [
            entry.never_asked_at(question.point) if key in again else entry for key, entry in self.entries.items()
        ]
        return evaluate(entries, question, now, self.policy)

    def _same(self, question: Question, now: float) -> bool:
        last = self.asked
        return last is not None and last.question == question and last.over == self._over(question, now)

    def _over(self, question: Question, now: float) -> frozenset[Key]:
        return frozenset(
            key
            for key, entry in self.entries.items()
            if entry.applies_to(question.deployment) and entry.over(question.point, now, self.policy)
        )

    # --- what comes

    def has_server_map(self, deployment: str) -> bool:
        """Return whether the server has to be asked before each point: it once sent a map, expired or not."""
        return any(key.source is Source.SERVER and key.id == deployment for key in self.entries)

    def refresh_due(self, deployment: str, now: float, ask_every: float) -> bool:
        """Return whether the server's map should be asked for again: half of its life, or `ask_every`, is over."""
        return any(
            key.source is Source.SERVER and key.id == deployment and now >= entry.refresh_at(ask_every)
            for key, entry in self.entries.items()
        )

    def next_change(self, now: float, ask_every: float) -> float | None:
        """Return the seconds until a map expires or should be refreshed, never zero; None if nothing comes by itself.

        A server that could not be asked when it was time to is asked again after as long as that was ago, from a minute
        to `ask_every`: more and more rarely, and for as long as it takes.
        """
        moments = [moment for entry in self.entries.values() for moment in self._moments(entry, now, ask_every)]
        coming = [moment for moment in moments if moment > now]
        return max(min(coming) - now, SHORTEST_WAIT) if coming else None

    def _moments(self, entry: Entry, now: float, ask_every: float) -> list[float]:
        if entry.source is Source.LOCAL:
            return [entry.expires]
        due, end = entry.refresh_at(ask_every), self.policy.end_of(entry.expires)
        if now >= due:
            due = now + min(max(now - due, ASK_AGAIN), ask_every)
        return [due, entry.expires, *([] if end is None else [end])]


def _check_room(kept: Mapping[Key, Entry]) -> None:
    if sum(key.source is Source.LOCAL for key in kept) >= LOCAL_MAPS:
        raise MapError(
            f"cannot take the update control map: there are {LOCAL_MAPS} from applications already",
            hint="refresh a map under its own id and priority, and send it without states when it is not needed",
        )
