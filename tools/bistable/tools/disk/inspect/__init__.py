"""Look at a disk image: what is on it, and what it would boot."""

from bistable.tools.disk.inspect.disk import inspect_disk
from bistable.tools.disk.inspect.report import DiskFinding, FoundPartition, Report, SlotReport

__all__ = ["DiskFinding", "FoundPartition", "Report", "SlotReport", "inspect_disk"]
