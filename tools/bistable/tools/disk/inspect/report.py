"""What a look at a disk found."""

from dataclasses import dataclass
from pathlib import Path

from bistable.artifact.image import ImageKind
from bistable.artifact.model import Severity
from bistable.tools.boot.decide import Decision
from bistable.tools.boot.plan import BootPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFinding:
    """Something that is wrong with a disk, or odd."""

    severity: Severity
    what: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPartition:
    """A partition as the table has it; sizes in bytes. `name` is empty where nothing tells it."""

    number: int
    name: str
    start: int
    size: int
    kind: ImageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReport:
    """A slot: what is in it, as far as it can be read. `used` in bytes; None where the file system does not tell."""

    name: str
    partition: int
    size: int
    kind: ImageKind
    label: str = ""
    used: int | None = None
    os_name: str | None = None
    artifact_name: str | None = None
    has_kernel: bool | None = None
    """Kernel and, if the plan names one, initial RAM disk are there; None: nobody could look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A disk: `layout` and `device_type` are None if it does not say; `boots` is the slot that would really start."""

    path: Path
    size: int
    table: str | None
    layout: str | None
    device_type: str | None
    plan: BootPlan | None
    partitions: tuple[FoundPartition, ...]
    slots: tuple[SlotReport, ...]
    decision: Decision | None
    boots: str | None
    why: tuple[str, ...]
    findings: tuple[DiskFinding, ...]

    @property
    def is_sound(self) -> bool:
        """Return whether nothing is wrong with it."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)
