"""What ends a case, beside what the bench raises when a device misbehaves."""

from typing import ClassVar

from bistable.artifact.errors import BistableError


class UnexpectedError(BistableError):
    """The board did something else than it should have."""

    exit_code: ClassVar[int] = 7

    def __init__(self, what: str, *, expected: str, seen: str, hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.expected, self.seen = expected, seen


class NotHereError(BistableError):
    """While a case ran it turned out that this device has not what it takes: the case is skipped."""
