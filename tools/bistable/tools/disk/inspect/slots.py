"""What is in the slots of a disk."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import BistableError, RejectedError
from bistable.artifact.image import ImageKind, Kind, open_image
from bistable.artifact.image.ext.superblock import OFFSET, SIZE, parse_superblock
from bistable.artifact.image.ext.volume import ExtVolume
from bistable.artifact.image.model import EXT_KINDS
from bistable.artifact.image.release import release_in
from bistable.artifact.image.volume import Volume, find
from bistable.artifact.run import run
from bistable.artifact.scratch import scratch_file
from bistable.tools.boot.plan import BootPlan, SlotPlace
from bistable.tools.disk.inspect.findings import Findings
from bistable.tools.disk.inspect.report import SlotReport
from bistable.tools.disk.partitions import Found
from bistable.tools.disk.sparse import copy_part

_TIMEOUT: Final = 1800.0
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
        with _opened(disk, partition, place.name, findings) as volume:
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


@contextmanager
def _opened(disk: BinaryIO, partition: Found, slot: str, findings: Findings) -> Iterator[Volume]:
    """Open the file system in a slot; where the kernel would write back a journal first, that is done in a copy."""
    name = f"slot {slot}"
    if partition.kind in EXT_KINDS:
        block = parse_superblock(os.pread(disk.fileno(), SIZE, partition.start + OFFSET), name)
        if block.blocks * block.block_size > partition.size:
            raise RejectedError(
                f"cannot read the file system in {name}: it is larger than its partition", rule="image.damaged"
            )
        if not block.needs_recovery:
            yield ExtVolume(disk, name, start=partition.start)
            return
        findings.note(f"{name} was in use when the power went: its journal is written back when it is mounted")
    with scratch_file(name) as scratch:
        copy_part(disk, partition.start, partition.size, scratch.file)
        if partition.kind in EXT_KINDS:
            _write_back(scratch.path)
        with open_image(scratch.path) as volume:
            yield volume


def _write_back(image: Path) -> None:
    with tempfile.TemporaryDirectory() as nowhere:
        run(["e2fsck", "-y", "-E", "journal_only", image], timeout=_TIMEOUT, cwd=Path(nowhere))
