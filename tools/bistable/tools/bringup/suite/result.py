"""What came of a run of the suite: plain values, in seconds since it began."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bistable.artifact.errors import BistableError


class Verdict(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    """The board did something else than it should have."""
    SKIPPED = "skipped"
    """It makes no sense on this board, or cannot be done here."""
    BLOCKED = "blocked"
    """It could not begin, as the device could not be brought to a known state; or the test itself was at fault."""


class EventKind(StrEnum):
    """What happened to the device, or was seen on its console."""

    POWER_ON = "power-on"
    POWER_CUT = "power-cut"
    REBOOT = "reboot"
    """It was asked for in the shell."""
    RESET = "reset"
    """It was asked for by the button, or whatever stands in for it."""
    SELF_RESET = "self-reset"
    """Nobody asked: the watchdog, a panic, or the boot loader."""
    LOADER = "loader"
    """Firmware or boot loader speak."""
    KERNEL = "kernel"
    """The kernel speaks."""
    PANIC = "panic"
    UP = "up"
    """There is a shell; the words are the slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, and when."""

    at: float
    kind: EventKind
    what: str = ""


class Lane(StrEnum):
    """What a device is doing."""

    POWER = "power"
    LOADER = "boot loader"
    KERNEL = "kernel"
    SLOT_A = "slot a"
    SLOT_B = "slot b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A time in which it did that."""

    lane: Lane
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the suite did, in words."""

    at: float
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a case failed: what was looked at, what should have been seen, what was."""

    what: str
    expected: str | None = None
    seen: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """How a case ended. `proves` is a sentence; `reason` is why it was skipped or blocked."""

    name: str
    proves: str
    verdict: Verdict
    start: float
    seconds: float
    reason: str | None = None
    remarks: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    trouble: Trouble | None = None
    console: tuple[str, ...] = ()
    """Lines of the console: the boot loader's, or after a failure the last ones of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """All of a run. `stopped_by` is what was wrong with the test itself, so that it did not go on."""

    cases: tuple[CaseResult, ...]
    seconds: float
    events: tuple[Event, ...] = ()
    phases: tuple[Phase, ...] = ()
    client_version: str | None = None
    stopped_by: BistableError | None = None

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """Return how many cases ended in which way."""
        return {verdict: sum(case.verdict is verdict for case in self.cases) for verdict in Verdict}

    @property
    def is_good(self) -> bool:
        """Return whether no case failed and none was blocked."""
        return not self.counts[Verdict.FAILED] and not self.counts[Verdict.BLOCKED]
