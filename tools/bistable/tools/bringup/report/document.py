"""What a report says, as one document of plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bistable.tools.board.model import Board
from bistable.tools.bringup.suite.flows import tries_of
from bistable.tools.bringup.suite.result import CaseResult, SuiteResult
from bistable.tools.bringup.suite.source import SourceFile
from bistable.tools.bringup.suite.subject import Place, Wishes

SCHEMA: Final = "board.test/1"
"""As in docs/reference/json.md; written with the prefix of all schemas."""

_DIGITS: Final = 2
"""Of times in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a report says. `date` is when it ran; `version` is that of this program, `program` that of QEMU."""

    board: Board
    place: Place
    source: SourceFile
    wishes: Wishes
    date: datetime
    version: str
    program: str | None
    result: SuiteResult


def report_document(report: Report) -> Mapping[str, Any]:
    """Return the report as values that JSON has."""
    result = report.result
    return {
        "board": _board(report.board),
        "date": report.date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "place": {"kind": report.place.kind.value, "what": report.place.what, "program": report.program},
        "image": {"name": report.source.name, "size": report.source.size, "sha256": report.source.sha256},
        "versions": {"suite": report.version, "client": result.client_version},
        "wishes": {"updates": report.wishes.updates, "cuts": report.wishes.cuts},
        "seconds": _seconds(result.seconds),
        "good": result.is_good and result.stopped_by is None,
        "stopped_by": None if result.stopped_by is None else result.stopped_by.what,
        "counts": {verdict.value: count for verdict, count in result.counts.items()},
        "cases": [_case(case) for case in result.cases],
        "events": [
            {"at": _seconds(event.at), "kind": event.kind.value, "what": event.what or None} for event in result.events
        ],
        "phases": [
            {"lane": phase.lane.value, "start": _seconds(phase.start), "end": _seconds(phase.end)}
            for phase in result.phases
        ],
    }


def _board(board: Board) -> dict[str, Any]:
    watchdog = board.watchdog
    return {
        "key": board.key,
        "name": board.name,
        "soc": board.soc,
        "page": board.page,
        "device_type": board.device_type,
        "flow": board.boot.flow.value,
        "architecture": board.boot.architecture,
        "tries": tries_of(board.boot.flow, board.boot.tries),
        "kernel": str(board.boot.kernel),
        "storage": board.storage.kind.value,
        "slot_size": _slot_size(board),
        "watchdog": None if watchdog is None else {"driver": watchdog.driver, "timeout": watchdog.timeout},
    }


def _slot_size(board: Board) -> int | None:
    if board.layout is not None:
        return board.layout.slots.size
    return None if board.ubi is None else board.ubi.slot_size


def _case(case: CaseResult) -> dict[str, Any]:
    trouble = case.trouble
    return {
        "name": case.name,
        "proves": case.proves,
        "verdict": case.verdict.value,
        "reason": case.reason,
        "start": _seconds(case.start),
        "seconds": _seconds(case.seconds),
        "remarks": list(case.remarks),
        "steps": [{"at": _seconds(step.at), "what": step.what} for step in case.steps],
        "trouble": None
        if trouble is None
        else {"what": trouble.what, "expected": trouble.expected, "seen": trouble.seen, "hint": trouble.hint},
        "console": list(case.console),
    }


def _seconds(value: float) -> float:
    return round(value, _DIGITS)
