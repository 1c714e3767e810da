"""A report as one page of HTML, with nothing from elsewhere in it and no script."""

from collections.abc import Iterator
from datetime import UTC
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bistable.tools.board.model import Board
from bistable.tools.bringup.report.document import Report
from bistable.tools.bringup.report.timeline import BAR, LANE, LEFT, RIGHT, WIDTH, duration, timeline
from bistable.tools.bringup.suite.flows import tries_of
from bistable.tools.bringup.suite.result import EventKind, SuiteResult, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE: Final = "report.html.jinja"
_MIB: Final = 1 << 20


def report_page(report: Report) -> str:
    """Return the page."""
    result = report.result
    values: dict[str, Any] = {
        "report": report,
        "board": report.board,
        "result": result,
        "facts": list(_facts(report)),
        "summary": _summary(result),
        "good": result.is_good and result.stopped_by is None,
        "date": report.date.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "verdicts": [(verdict, count) for verdict, count in result.counts.items() if count],
        "timeline": timeline(result),
        "size": {"width": WIDTH, "left": LEFT, "right": WIDTH - RIGHT, "bar": BAR, "lane": LANE},
        "marks": _marks(result),
        "console_of_failure": {Verdict.FAILED, Verdict.BLOCKED},
    }
    return _environment().get_template(_TEMPLATE).render(values)


def _summary(result: SuiteResult) -> str:
    counts = result.counts
    ran = counts[Verdict.PASSED] + counts[Verdict.FAILED]
    cases = f"{ran} case{'' if ran == 1 else 's'}"
    if result.stopped_by is not None:
        return f"The suite did not go on: {result.stopped_by.what}"
    if result.is_good:
        rest = f"; {counts[Verdict.SKIPPED]} skipped" if counts[Verdict.SKIPPED] else ""
        return f"{cases} passed, none failed{rest}."
    blocked = f", and {counts[Verdict.BLOCKED]} could not run" if counts[Verdict.BLOCKED] else ""
    return f"{counts[Verdict.FAILED]} of {cases} failed{blocked}."


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    board = report.board
    yield "Processor", board.soc
    yield "Boot flow", _flow(board)
    yield "Storage", _storage(board)
    yield "Device type", board.device_type
    yield "Watchdog", _watchdog(board)
    yield "Led by", report.place.what + (f", {report.program}" if report.program else "")
    yield "Image", f"{report.source.name}, {report.source.size} bytes"
    yield "SHA-256 of it", report.source.sha256
    client = report.result.client_version
    yield "Versions", f"suite {report.version}, client {client or 'unknown'}"
    yield "Run", f"{report.date.astimezone(UTC):%Y-%m-%d %H:%M UTC}, {duration(report.result.seconds)}"


def _flow(board: Board) -> str:
    tries = tries_of(board.boot.flow, board.boot.tries)
    counted = "" if tries is None else f", {tries} {'try' if tries == 1 else 'tries'} for a new system"
    return f"{board.boot.flow.value}{counted}"


def _storage(board: Board) -> str:
    if board.layout is not None:
        return f"{board.storage.kind.value}, two slots of {board.layout.slots.size // _MIB} MiB"
    return board.storage.kind.value


def _watchdog(board: Board) -> str:
    return "none" if board.watchdog is None else f"{board.watchdog.driver}, {board.watchdog.timeout} s"


def _marks(result: SuiteResult) -> list[tuple[str, str]]:
    """Return kind -> meaning of the marks that there are."""
    kinds = {event.kind for event in result.events}
    known = (
        (EventKind.POWER_CUT, "cut", "power cut"),
        (EventKind.RESET, "reset", "reset by a switch"),
        (EventKind.SELF_RESET, "self", "reset by the board itself"),
        (EventKind.PANIC, "panic", "panic of the kernel"),
    )
    return [(name, words) for kind, name, words in known if kind in kinds]


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bistable.tools.bringup.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["duration"] = duration
    environment.filters["words"] = _words
    return environment


def _words(text: str) -> str:
    """Return text as HTML, in which what stands between backquotes is code."""
    from markupsafe import Markup, escape

    pieces = [escape(piece) for piece in text.split("`")]
    if len(pieces) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else piece for number, piece in enumerate(pieces)
    )
