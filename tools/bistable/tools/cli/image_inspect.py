"""`bistable image inspect`: what is on a disk, and what it would boot."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bistable.artifact.cli.framework import Example, command
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.render import Console, View, clean, message, rows, size_text, styled
from bistable.artifact.model import Severity

if TYPE_CHECKING:
    from bistable.tools.boot.decide import CopyState, Decision
    from bistable.tools.disk.inspect import DiskFinding, FoundPartition, Report, SlotReport

_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


@command(
    "inspect",
    examples=[
        Example("Look at a disk image", "bistable image inspect disk.img"),
        Example(
            "Ask in a script which slot would boot",
            "bistable image inspect --json disk.img | jq -r .boots",
        ),
    ],
)
@output_options
@click.argument("disk", type=FILE)
@click.pass_context
def inspect(ctx: click.Context, disk: Path, console: Console) -> None:
    """Show what is on a disk: partitions, slots, the boot loader's environment, and which slot would boot, and why.

    DISK is an image, a compressed one (.zst) or a device; nothing is changed. The exit code is 1 if something is wrong
    with it.
    """
    from bistable.tools.disk.inspect import inspect_disk

    with console.progress("reading") as meter:
        report = inspect_disk(disk, on_progress=meter.advance)
    console.result(View(schema="image.inspect/1", document=_document(report), lines=_lines(report)))
    if not report.is_sound:
        ctx.exit(1)


# --- for people


def _lines(report: "Report") -> list[str]:
    head = f"{clean(str(report.path))}: {report.table or 'no partition table'}, {size_text(report.size)}"
    if report.boots is not None:
        boots = f"slot {report.boots}"
    elif report.decision is not None:
        boots = "nothing: tries are given again, and it starts over"
    else:
        boots = "not known" if report.slots else ""
    pairs: list[tuple[str, str | list[str]]] = [
        ("layout", clean(report.layout or "")),
        ("device type", clean(report.device_type or "")),
        ("loader", "" if report.plan is None else report.plan.loader.value),
        ("partitions", [_partition_line(partition) for partition in report.partitions]),
        *((f"slot {slot.name}", _slot_lines(slot, report.decision)) for slot in report.slots),
        ("environment", [] if report.decision is None else _environment_lines(report.decision)),
        ("boots", [boots, *(f"- {clean(why)}" for why in report.why)] if boots else []),
    ]
    return [head, *rows(pairs, indent="  "), *(line for found in report.findings for line in _finding_lines(found))]


def _partition_line(partition: "FoundPartition") -> str:
    from bistable.artifact.image.model import ImageKind

    name = clean(partition.name) or "-"
    kind = partition.kind.value if partition.kind is not ImageKind.UNKNOWN else "-"
    return f"{partition.number} {name:10} {kind:8} {size_text(partition.size)} at {partition.start}"


def _slot_lines(slot: "SlotReport", decision: "Decision | None") -> list[str]:
    room = size_text(slot.size) if slot.used is None else f"{size_text(slot.used)} of {size_text(slot.size)}"
    label = f" {clean(slot.label)!r}" if slot.label else ""
    lines = [f"{slot.kind.value}{label} on partition {slot.partition}, {room}"]
    system = [clean(text) for text in (slot.os_name, slot.artifact_name and f"artifact {slot.artifact_name}") if text]
    if system:
        lines.append(", ".join(system))
    kernel = {True: "its kernel is there", False: "no kernel", None: ""}[slot.has_kernel]
    state = _state(slot.name, decision)
    return [*lines, ", ".join(text for text in (kernel, state) if text)]


def _state(slot: str, decision: "Decision | None") -> str:
    if decision is None or slot not in decision.slots:
        return ""
    if slot not in decision.order:
        return "must not be booted"
    known = decision.slots[slot]
    return "known to be good" if known.good else f"on trial, {known.tries} tries left"


def _environment_lines(decision: "Decision") -> list[str]:
    copies = [f"copy {number}: {_copy_text(copy)}" for number, copy in enumerate(decision.copies, start=1)]
    return [*copies, f"order: {' '.join(decision.order)}"]


def _copy_text(copy: "CopyState") -> str:
    if not copy.valid:
        return clean(f"not valid, {copy.why}")
    return f"valid, number {copy.sequence}" + (", the newer one" if copy.newest else "")


def _finding_lines(finding: "DiskFinding") -> list[str]:
    head = styled(f"{finding.severity.value}:", fg=_COLOURS[finding.severity])
    return message(head, finding.what, [("hint", finding.hint)])


# --- for programs


def _document(report: "Report") -> dict[str, Any]:
    decision = report.decision
    return {
        "disk": str(report.path),
        "size": report.size,
        "table": report.table,
        "layout": report.layout,
        "device_type": report.device_type,
        "loader": None if report.plan is None else report.plan.loader.value,
        "partitions": [
            {
                "number": partition.number,
                "name": partition.name or None,
                "start": partition.start,
                "size": partition.size,
                "kind": partition.kind.value,
            }
            for partition in report.partitions
        ],
        "slots": [_slot_document(slot, decision) for slot in report.slots],
        "environment": None if decision is None else _environment_document(decision),
        "boots": report.boots,
        "why": list(report.why),
        "findings": [
            {"severity": finding.severity.value, "what": finding.what, "hint": finding.hint}
            for finding in report.findings
        ],
    }


def _slot_document(slot: "SlotReport", decision: "Decision | None") -> dict[str, Any]:
    known = None if decision is None else decision.slots.get(slot.name)
    return {
        "name": slot.name,
        "partition": slot.partition,
        "size": slot.size,
        "kind": slot.kind.value,
        "label": slot.label,
        "used": slot.used,
        "os": slot.os_name,
        "artifact_name": slot.artifact_name,
        "kernel": slot.has_kernel,
        "in_order": None if decision is None else slot.name in decision.order,
        "good": None if known is None else known.good,
        "tries": None if known is None else known.tries,
    }


def _environment_document(decision: "Decision") -> dict[str, Any]:
    return {
        "copies": [
            {"valid": copy.valid, "newest": copy.newest, "number": copy.sequence, "why_not": copy.why or None}
            for copy in decision.copies
        ],
        "order": list(decision.order),
        "first": decision.slot,
        "uses_a_try": decision.counted,
        "fallbacks": list(decision.fallbacks),
    }
