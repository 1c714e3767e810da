"""Who may hold an update that the client leads by itself, and who may go over whom.

At each of four points (download, install, reboot, commit) all of these are heard, and each of them alone can hold. Two
things can be said by hand: `continue` (Record.passes) and `force` (Record.forced).

| who                                      | says  | continue   | force      | what else ends it                       |
|------------------------------------------|-------|------------|------------|-----------------------------------------|
| inhibitor: an application, while it lives| hold  | stays      | let through| it lets go or dies; its own time limit  |
| pause asked for at the device            | hold  | let through| let through| it is taken back                        |
| control map of an application            | pause | let through| let through| its life, on_action_executed, a map of  |
|                                          |       |            |            | higher priority with force_continue     |
| control map of the server                | pause | stays      | let through| the same, but its life as OfflinePolicy |
|                                          |       |            |            | says; the server, when it is asked again|
| control map, whosever                    | fail  | stays      | stays      | the same                                |
| server: the deployment is gone           | fail  | stays      | stays      | nothing                                 |

- Among maps only priority counts, not who sent them: that is how they were made. Between maps and all else there is no
  order: a `force_continue` opens no inhibitor and no pause, for neither knows about the other.
- Whoever says `continue` at the device speaks for its people and its applications. The fleet, and an application that
  says "not now, or something breaks", are not overruled by accident: `force` is for those who may.
- A `fail` is no hold that could be lifted. It ends the update even while others hold it.
- Maps are asked, with what that changes in them (`on_action_executed`), only when nobody else holds the update: a map
  that pauses once must not use that up while something else is in the way. That they were asked is kept before it is
  acted on; asked again with nothing changed in the meantime, after a power cut too, they give the same answer.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bistable.artifact.errors import BistableError
from bistable.client.deployment.keptmaps import KeptMaps
from bistable.client.deployment.pauses import KeptPauses
from bistable.client.deployment.ports import Hold, Open, Refuse, Verdict
from bistable.client.errors import AbortedError, StoreError
from bistable.client.machine import GATES, PAUSES, Record
from bistable.client.maps import Action, Decision, Question, Source, Voice
from bistable.client.model import Point

log = logging.getLogger(__name__)

_PAUSE_AT: Final = {point: state for state, point in PAUSES.items()}
_WHO: Final = {Source.SERVER: "the server", Source.LOCAL: "an application"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds an update, why, and until when at most (in seconds of CLOCK_BOOTTIME; None if that is open)."""

    who: str
    why: str
    until: float | None = None

    def __str__(self) -> str:
        return f"{self.who}: {self.why}" if self.why else self.who


class Inhibitors(Protocol):
    """Applications that hold an update for as long as they live and want to."""

    def holders(self, point: Point) -> Sequence[Holder]:
        """Return who holds any update at a point now."""
        ...


class ManagedGates:
    """Asks everybody who may hold an update.

    `ask_server` brings the maps up to date with what the server says about a deployment, and raises AbortedError if it
    says that there is none any more. It is called before each point of a deployment for which the server once sent a
    map. If it fails in another way, what the maps said so far counts, for as long as they live.
    """

    def __init__(
        self, maps: KeptMaps, pauses: KeptPauses, inhibitors: Inhibitors, *, ask_server: Callable[[str], None]
    ) -> None:
        self._maps, self._pauses, self._inhibitors = maps, pauses, inhibitors
        self._ask_server = ask_server

    def decide(self, point: Point, record: Record) -> Verdict:
        """Return whether the update may pass.

        Raises:
            StoreError: what the answer changes cannot be kept.
        """
        if record.state in GATES:
            if (gone := self._ask_at(point, record)) is not None:
                return Refuse(reason=gone)
            if point in record.passes:
                # It was opened by hand: what was asked for before that is done with, what comes later is not.
                self._pauses.take_back(point, record.id)
        others, question = self._others(point, record), _question(point, record)
        decision = self._maps.look(question) if others else self._maps.decide(question)
        if others and decision.action is Action.FAIL:
            decision = self._maps.decide(question)
        if decision.action is Action.FAIL:
            return Refuse(reason=" and ".join(str(_holder(voice)) for voice in decision.by))
        holders = (*others, *_holding(decision))
        return Hold(reasons=tuple(str(holder) for holder in holders)) if holders else Open()

    def holders(self, point: Point, record: Record) -> tuple[Holder, ...]:
        """Return who holds, or would hold, an update at a point, for showing it; asks nobody and changes nothing."""
        return (*self._others(point, record), *_holding(self._maps.look(_question(point, record))))

    def ask(self, deployment: str) -> str | None:
        """Bring the server's map up to date; return why the update must not go on, if the server says so.

        It may be called in any thread.

        Raises:
            StoreError: the answer cannot be kept.
        """
        try:
            self._ask_server(deployment)
        except AbortedError as e:
            return e.reason
        except StoreError:
            raise
        except BistableError as e:
            log.info("cannot ask the server whether the update may go on: %s", e.what)
        return None

    def _ask_at(self, point: Point, record: Record) -> str | None:
        """Do that where the answer counts."""
        # Maps have no say before a download, and the deployment was offered just now.
        if point is Point.DOWNLOAD or not self._maps.has_server_map(record.id):
            return None
        if (standing := self._maps.standing(_question(point, record))) and standing.action is Action.CONTINUE:
            # A pause has just ended with this answer. A map that pauses once, sent anew now, would begin it again.
            return None
        return self.ask(record.id)

    def _others(self, point: Point, record: Record) -> tuple[Holder, ...]:
        if point in record.forced:
            return ()
        found = list(self._inhibitors.holders(point))
        if (pause := self._pauses.at(point, record.id)) is not None:
            found.append(Holder(who=pause.who, why=pause.why))
        if _PAUSE_AT[point] in record.stops:
            found.append(Holder(who="the one who began it", why="asked for this stop"))
        return tuple(found)


def _question(point: Point, record: Record) -> Question:
    waived: frozenset[Source] = frozenset()
    if point in record.forced:
        waived = frozenset(Source)
    elif point in record.passes:
        waived = frozenset({Source.LOCAL})
    return Question(point=point, deployment=record.id, waived=waived)


def _holding(decision: Decision) -> tuple[Holder, ...]:
    return tuple(_holder(voice) for voice in decision.by) if decision.action is Action.PAUSE else ()


def _holder(voice: Voice) -> Holder:
    why = f"update control map {voice.id}, priority {voice.priority}: {voice.action.value}"
    return Holder(who=_WHO[voice.source], why=why, until=voice.until)
