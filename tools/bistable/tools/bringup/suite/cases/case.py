"""What a case is."""

from collections.abc import Callable
from dataclasses import dataclass

from bistable.tools.bringup.suite.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to be shown of a board.

    `proves` is a sentence for readers of the report. `why_not` returns why it makes no sense for a board, or None.
    `run` raises UnexpectedError or MisbehavedError if the board does something else than it should. It begins on a
    device that is up, without an update in progress, whose running slot is good; `start_counts` tells that this is a
    part of what the case proves.
    """

    name: str
    proves: str
    run: Callable[[Subject], None]
    why_not: Callable[[Subject], str | None]
    start_counts: bool = False


def always(_subject: Subject) -> None:
    """Return that it makes sense for every board."""


def needs_changes(subject: Subject) -> str | None:
    """Return why the case cannot be run where the root file system cannot be changed."""
    if subject.offers.can_change:
        return None
    return "it changes a file of the root file system, and only those in ext4 can be changed"
