"""What is in the slots of a disk."""

import os
from dataclasses import replace
from typing import BinaryIO, Final

from bistable.artifact.errors import BistableError
from bistable.artifact.image import ImageKind, Kind
from bistable.artifact.image.ext.superblock import OFFSET, SIZE, parse_superblock
from bistable.artifact.image.model import EXT_KINDS
from bistable.artifact.image.release import release_in
from bistable.artifact.image.volume import Volume, find
from bistable.tools.boot.plan import BootPlan, SlotPlace
from bistable.tools.disk.inspect.findings import Findings
from bistable.tools.disk.inspect.report import SlotReport
from bistable.tools.disk.partitions import Found
from bistable.tools.disk.volumes import open_partition

_SQUASHFS_USED: Final = slice(40, 48)
"""Where a squashfs superblock says how many bytes it all is."""


def look_into_slot(
    disk: BinaryIO, place: SlotPlace, partition: Found, plan: BootPlan, findings: Findings
) -> SlotReport:
    """Return what is in a slot, as far as it can be read."""
    report = SlotReport(name=place.name, partition=partition.number, size=partition.size, kind=partition.kind)
    if partition.kind is ImageKind.UNKNOWN:
        return replace(report, has_kernel=False)
    try:
        if _needs_recovery(disk, partition):
            findings.note(
                f"slot {place.name} was in use when the power went: its journal is written back when it is mounted"
            )
        with open_partition(disk, partition, f"slot {place.name}") as volume:
            return _looked(disk, volume, report, partition, plan)
    except (BistableError, OSError) as e:
        what = e.what if isinstance(e, BistableError) else str(e)
        findings.error(f"slot {place.name}: {what}", hint=e.hint if isinstance(e, BistableError) else None)
        return report


def _looked(disk: BinaryIO, volume: Volume, report: SlotReport, partition: Found, plan: BootPlan) -> SlotReport:
    release = release_in(volume)
    wanted = [path for path in (plan.kernel, plan.initrd, plan.devicetree) if path is not None]
    found = [find(volume, str(path)) for path in wanted]
    label, used = "", None
    if partition.kind in EXT_KINDS:
        block = parse_superblock(os.pread(disk.fileno(), SIZE, partition.start + OFFSET), f"slot {report.name}")
        label, used = block.label, (block.blocks - block.free_blocks) * block.block_size
    elif partition.kind is ImageKind.SQUASHFS:
        used = int.from_bytes(os.pread(disk.fileno(), 96, partition.start)[_SQUASHFS_USED], "little")
    return replace(
        report,
        label=label,
        used=used,
        os_name=release.os_release.get("PRETTY_NAME") or release.os_release.get("NAME"),
        artifact_name=release.artifact_name,
        has_kernel=all(entry is not None and entry.kind is Kind.FILE for entry in found),
    )


def _needs_recovery(disk: BinaryIO, partition: Found) -> bool:
    if partition.kind not in EXT_KINDS:
        return False
    return parse_superblock(os.pread(disk.fileno(), SIZE, partition.start + OFFSET), "it").needs_recovery
