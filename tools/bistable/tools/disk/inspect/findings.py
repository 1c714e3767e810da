"""Findings as they come up."""

from bistable.artifact.model import Severity
from bistable.tools.disk.inspect.report import DiskFinding


class Findings:
    """Collects what is wrong or odd."""

    def __init__(self) -> None:
        self.found: list[DiskFinding] = []

    def error(self, what: str, *, hint: str | None = None) -> None:
        """Take note of something that is wrong."""
        self.found.append(DiskFinding(severity=Severity.ERROR, what=what, hint=hint))

    def warning(self, what: str, *, hint: str | None = None) -> None:
        """Take note of something that may be wrong."""
        self.found.append(DiskFinding(severity=Severity.WARNING, what=what, hint=hint))

    def note(self, what: str, *, hint: str | None = None) -> None:
        """Take note of something that is odd."""
        self.found.append(DiskFinding(severity=Severity.NOTE, what=what, hint=hint))
