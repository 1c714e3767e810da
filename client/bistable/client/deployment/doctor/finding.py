"""What a doctor finds."""

from dataclasses import dataclass
from enum import Enum


class Grade(Enum):
    """How bad it is."""

    GOOD = "good"
    NOTE = "note"
    """Not wrong, and good to know."""
    DOUBT = "doubt"
    """It may be meant so."""
    BAD = "bad"
    """An update will fail, or not be safe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, and what to do about it."""

    area: str
    grade: Grade
    what: str
    hint: str | None = None


def good(area: str, what: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(area=area, grade=Grade.GOOD, what=what)


def note(area: str, what: str, hint: str | None = None) -> Finding:
    """Return something that is good to know."""
    return Finding(area=area, grade=Grade.NOTE, what=what, hint=hint)


def doubt(area: str, what: str, hint: str | None = None) -> Finding:
    """Return something that may be meant so."""
    return Finding(area=area, grade=Grade.DOUBT, what=what, hint=hint)


def bad(area: str, what: str, hint: str | None = None) -> Finding:
    """Return a fault."""
    return Finding(area=area, grade=Grade.BAD, what=what, hint=hint)
