"""From a disk image to a report on it; what is wrong with it becomes a finding, not an error."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import BistableError, RejectedError, RequestError
from bistable.artifact.scratch import scratch_file
from bistable.tools.boot.decide import Decision, decide
from bistable.tools.boot.plan import BootPlan
from bistable.tools.disk.inspect.bootfiles import Choice, choice_by_files
from bistable.tools.disk.inspect.findings import Findings
from bistable.tools.disk.inspect.known import Known, what_is_known
from bistable.tools.disk.inspect.report import FoundPartition, Report, SlotReport
from bistable.tools.disk.inspect.slots import look_into_slot
from bistable.tools.disk.outputs import COMPRESSED, decompress
from bistable.tools.disk.partitions import Found, FoundTable, read_table
from bistable.tools.disk.sparse import Progress, ignore

_MOST_ENVIRONMENT: Final = 64 << 20


def inspect_disk(path: Path, *, on_progress: Progress = ignore) -> Report:
    """Look at a disk image, or a compressed one (.zst), or a device. It is not changed.

    Raises:
        RequestError: it cannot be read.
        RejectedError: it is compressed, and damaged.
        MachineError: a tool is missing.
    """
    with _opened(path, on_progress) as disk:
        return _Inspection(disk, path).report()


@contextmanager
def _opened(path: Path, on_progress: Progress) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb", buffering=0)
    except OSError as e:
        raise RequestError(f"cannot read {path}: {e.strerror}") from e
    with file:
        if path.suffix != COMPRESSED:
            yield file
            return
        with scratch_file(path.stem) as scratch:
            decompress(file, scratch.file, path.name, on_progress=on_progress)
            yield scratch.file


class _Inspection:
    """One look at one disk."""

    def __init__(self, disk: BinaryIO, path: Path) -> None:
        self._disk = disk
        self._path = path
        self._size = disk.seek(0, os.SEEK_END)
        self._findings = Findings()

    def report(self) -> Report:
        """Look at everything."""
        table = self._table()
        partitions = table.partitions if table is not None else ()
        known = what_is_known(self._disk, partitions, self._findings) if partitions else Known(plan=None, names={})
        slots: tuple[SlotReport, ...] = ()
        decision, choice = None, Choice()
        if known.plan is not None:
            slots = self._slots(known, known.plan, partitions)
            decision = self._decision(known.plan, partitions)
            choice = self._choice(known.plan, partitions, decision)
        boots, why = _outcome(choice, slots)
        self._judge(decision, choice, slots, boots)
        return Report(
            path=self._path,
            size=self._size,
            table=None if table is None else {"dos": "mbr"}.get(table.kind, table.kind),
            layout=known.layout,
            device_type=known.device_type,
            plan=known.plan,
            partitions=tuple(_shown(partition, known) for partition in partitions),
            slots=slots,
            decision=decision,
            boots=boots,
            why=why,
            findings=tuple(self._findings.found),
        )

    def _table(self) -> FoundTable | None:
        try:
            table = read_table(self._disk, self._path.name)
        except RejectedError as e:
            self._findings.error(e.what, hint=e.hint)
            return None
        for remark in table.remarks:
            self._findings.warning(f"the partition table: {remark}")
        for partition in table.partitions:
            if partition.start + partition.size > self._size:
                self._findings.error(
                    f"partition {partition.number} ends at {partition.start + partition.size} bytes, behind the end of "
                    f"the disk at {self._size}",
                    hint="is the image cut off?",
                )
        return table

    def _slots(self, known: Known, plan: BootPlan, partitions: tuple[Found, ...]) -> tuple[SlotReport, ...]:
        reports = []
        for place in plan.slots:
            # Where the slots have boot partitions of their own, the plan names those.
            wanted = {name: number for number, name in known.names.items()}.get(f"rootfs-{place.name}", place.partition)
            partition = _numbered(partitions, wanted)
            if partition is None:
                self._findings.error(f"slot {place.name} is missing: there is no partition {wanted}")
                continue
            reports.append(look_into_slot(self._disk, place, partition, plan, self._findings))
        sizes = {report.size for report in reports}
        if len(sizes) > 1:
            self._findings.error(
                f"the slots are of different size, {min(sizes)} and {max(sizes)} bytes",
                hint="an update that fits into one may not fit into the other",
            )
        return tuple(reports)

    def _decision(self, plan: BootPlan, partitions: tuple[Found, ...]) -> Decision | None:
        if plan.environment is None:
            return None
        place = _numbered(partitions, plan.environment.partition)
        if place is None:
            self._findings.error(f"the boot loader's environment is missing: no partition {plan.environment.partition}")
            return None
        content = os.pread(self._disk.fileno(), min(place.size, _MOST_ENVIRONMENT), place.start)
        try:
            return decide(plan, content)
        except BistableError as e:
            self._findings.error(e.what, hint=e.hint)
            return None

    def _choice(self, plan: BootPlan, partitions: tuple[Found, ...], decision: Decision | None) -> Choice:
        """Return the slots in the order in which they are tried."""
        if decision is not None:
            first = () if decision.slot is None else (decision.slot, *decision.fallbacks)
            return Choice(order=first, why=decision.why)
        boot = _numbered(partitions, plan.boot_partition)
        if plan.environment is not None or boot is None:
            return Choice()
        return choice_by_files(self._disk, boot, plan, self._findings)

    def _judge(
        self, decision: Decision | None, choice: Choice, slots: tuple[SlotReport, ...], boots: str | None
    ) -> None:
        """Say what is wrong with the environment, and with slots that may be booted."""
        for number, copy in enumerate(() if decision is None else decision.copies, start=1):
            if not copy.valid:
                self._findings.warning(f"copy {number} of the environment is not valid: {copy.why}")
        if decision is not None and not any(copy.valid for copy in decision.copies):
            self._findings.error("no copy of the environment is valid: the boot loader starts as if nothing were known")
        bootable = choice.order if decision is None else decision.order
        for slot in slots:
            if slot.has_kernel is False and slot.name in bootable:
                self._findings.error(f"slot {slot.name} may be booted, and has no kernel that can be loaded")
        if slots and boots is None and choice.order:
            self._findings.error("nothing boots: no slot that may be booted has a kernel")


def _outcome(choice: Choice, slots: tuple[SlotReport, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return the slot that would really start, and why: the first one that can be loaded."""
    why = list(choice.why)
    empty = {slot.name for slot in slots if slot.has_kernel is False}
    for slot in choice.order:
        if slot not in empty:
            return slot, tuple(why)
        why.append(f"slot {slot} cannot be loaded: there is no kernel in it")
    return None, tuple(why)


def _numbered(partitions: tuple[Found, ...], number: int) -> Found | None:
    return next((partition for partition in partitions if partition.number == number), None)


def _shown(partition: Found, known: Known) -> FoundPartition:
    return FoundPartition(
        number=partition.number,
        name=partition.name or known.names.get(partition.number, ""),
        start=partition.start,
        size=partition.size,
        kind=partition.kind,
    )
