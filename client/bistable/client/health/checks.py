"""Ask one check after the other, again and again if need be, until all are good, one is bad, or time is over.

No clock of the wall is needed: a device may think that it is 1970. Time is what a monotonic clock says, and what was
used in earlier boots is handed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bistable.client.errors import HealthError

ASK_EVERY: Final = 5.0
"""Seconds until a check that is not decided yet is asked again."""


class Verdict(Enum):
    """What a check says."""

    GOOD = "good"
    LATER = "later"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a check says, and its reasons: for people, the last lines it wrote."""

    verdict: Verdict
    reasons: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A question to the system; `ask` gets the seconds that it may take."""

    name: str
    ask: Callable[[float], Answer]


class UnhealthyError(HealthError):
    """The system is not healthy, found out in `used` seconds of the deadline."""

    used: float = 0.0


def all_good(
    checks: Sequence[Check],
    *,
    deadline: float,
    used: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    on_used: Callable[[float], None],
) -> float:
    """Ask the checks in their order until all of them are good; return the used seconds of the deadline.

    A check is asked once all before it are good, and for the last time when the deadline has come. `on_used` is told
    what was used after each answer, so that it can be kept for the case that power is cut; it may raise to stop this.

    Raises:
        UnhealthyError: a check is bad, or not good when the deadline is over.
    """
    begin = clock() - used
    for check in checks:
        while True:
            answer = check.ask(max(0.0, deadline - (clock() - begin)))
            spent = clock() - begin
            on_used(spent)
            if answer.verdict is Verdict.GOOD:
                break
            if answer.verdict is Verdict.BAD or spent >= deadline:
                raise _unhealthy(check, answer, deadline, spent)
            sleep(min(ASK_EVERY, deadline - spent))
    return clock() - begin


def _unhealthy(check: Check, answer: Answer, deadline: float, spent: float) -> UnhealthyError:
    late = answer.verdict is Verdict.LATER
    why = f"is still not good after {deadline:g} s" if late else "says that it is not"
    error = UnhealthyError(f"cannot call the system healthy: {check.name} {why}", hint=answer.reasons or None)
    error.used = spent
    return error
