"""What the doctor finds, and what it is told of a device."""

from dataclasses import dataclass

from bistable.tools.board.check import Level

STORAGE = "storage"
START = "start"
ENVIRONMENT = "environment"
SETTINGS = "settings"
MOUNTS = "mounts"
HARDWARE = "hardware"
CLIENT = "client"
"""Areas: what a finding is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is set up wrong: what is there, what should be, and what to change in which file."""

    level: Level
    area: str
    what: str
    found: str | None = None
    expected: str | None = None
    change: str


def error(area: str, what: str, change: str, *, found: str | None = None, expected: str | None = None) -> Finding:
    """Return something by which the device does not boot or update safely."""
    return Finding(level=Level.ERROR, area=area, what=what, found=found, expected=expected, change=change)


def warning(area: str, what: str, change: str, *, found: str | None = None, expected: str | None = None) -> Finding:
    """Return something at which somebody has to look."""
    return Finding(level=Level.WARNING, area=area, what=what, found=found, expected=expected, change=change)
