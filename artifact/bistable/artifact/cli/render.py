"""All that the command line writes: results and data to standard output, everything else to standard error."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import click

from bistable.artifact.errors import Where
from bistable.artifact.model import Finding, Severity

INDENT: Final = "  "
SCHEMA_PREFIX: Final = "bistable."
_SEVERITY_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A result, ready to be shown: as a document (JSON values only) under the name of its schema, and as lines of text.

    `schema` is like `artifact.show/1`; the number changes when a script that reads the document could break.
    """

    schema: str
    document: Mapping[str, Any]
    lines: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Where a command shows what it has to show, in the way that was asked for."""

    as_json: bool = False
    no_progress: bool = False

    def result(self, view: View, *, aside: bool = False) -> None:
        """Show a result; `aside` puts it on standard error, for commands whose data goes to standard output."""
        if not self.as_json:
            _write_lines(view.lines, err=aside)
            return
        document = {"schema": SCHEMA_PREFIX + view.schema, **view.document}
        click.echo(json.dumps(document, indent=2), err=aside)

    def data(self, content: bytes) -> None:
        """Write bytes to standard output as they are."""
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()

    def note(self, text: str) -> None:
        """Tell something by the way, on standard error."""
        click.echo(clean(text), err=True)

    def warn(self, text: str, *, hint: str | None = None) -> None:
        """Tell of something that may be wrong, on standard error."""
        _write_lines(message(styled("warning:", fg="yellow"), text, [("hint", hint)]), err=True)

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator["Meter"]:
        """Give a meter for `total` bytes of work; a bar shows up if the work takes long and somebody is looking."""
        meter = Meter(what, total, visible=not self.no_progress and _is_terminal(sys.stderr))
        try:
            yield meter
        finally:
            meter.close()


class Meter:
    """Counts bytes of work; the bar and its library are loaded when the first second is nearly over."""

    PATIENCE: Final = 0.8
    """Seconds before a bar appears: what is done sooner needs none."""

    def __init__(self, what: str, total: int | None, *, visible: bool) -> None:
        from time import monotonic

        self.total = total
        self._what = what
        self._done = 0
        self._now: Callable[[], float] = monotonic
        self._due = monotonic() + self.PATIENCE if visible else float("inf")
        self._bar: Any = None

    def advance(self, count: int) -> None:
        """Take note that `count` more bytes are done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)
        elif self._now() >= self._due:
            self._bar = _bar(self._what, self.total, self._done)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


def _bar(what: str, total: int | None, done: int) -> Any:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=RichConsole(stderr=True),
        transient=True,
    )
    bar.add_task(what, total=total, completed=done)
    bar.start()
    return bar


def failure(
    what: str,
    *,
    hint: str | None = None,
    where: Where | None = None,
    rule: str | None = None,
    kind: str,
    exit_code: int,
) -> tuple[list[str], dict[str, Any]]:
    """Return the text and the document that say why a command failed."""
    details = [("where", None if where is None else str(where)), ("rule", rule), ("hint", hint)]
    error = {"kind": kind, "exit_code": exit_code, "what": what, "where": place(where), "rule": rule, "hint": hint}
    return message(styled("error:", fg="red", bold=True), what, details), {"error": error}


def show_failure(lines: Sequence[str], document: Mapping[str, Any], *, as_json: bool) -> None:
    """Write why a command failed: the text to standard error, and with `as_json` the document to standard output."""
    _write_lines(lines, err=True)
    if as_json:
        Console(as_json=True).result(View(schema="error/1", document=document, lines=()))


def show_traceback(error: Exception) -> None:
    """Write where an exception came from to standard error, for whoever mends the program."""
    from traceback import format_exception

    click.echo("".join(format_exception(error)), err=True, nl=False)


def message(head: str, what: str, details: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return a message as lines: the head and the words, then one aligned line for each detail that is there."""
    first, *rest = what.splitlines() or [""]
    lines = [f"{head} {clean(first)}", *(INDENT + clean(line) for line in rest)]
    given = [(label, text) for label, text in details if text]
    width = max((len(label) for label, _ in given), default=0) + 2
    for label, text in given:
        for number, line in enumerate(text.splitlines()):
            lines.append(INDENT + f"{label + ':' if not number else '':{width}}{clean(line)}")
    return lines


def rows(pairs: Iterable[tuple[str, str | Iterable[str]]], *, indent: str = "", width: int = 0) -> list[str]:
    """Return aligned `label  value` lines; a value of several lines continues under its first, empty ones are left out.

    Values are cleaned; labels and styles are the caller's.
    """
    filled = [(label, [value] if isinstance(value, str) else list(value)) for label, value in pairs]
    filled = [(label, lines) for label, lines in filled if any(lines)]
    widest = max([width, *(len(label) for label, _ in filled)])
    out = []
    for label, lines in filled:
        for number, line in enumerate(lines):
            out.append(f"{indent}{'' if number else label:{widest}}  {line}".rstrip())
    return out


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Return findings as lines, each with its place, rule and hint."""
    lines: list[str] = []
    for finding in findings:
        head = styled(f"{finding.severity.value}:", fg=_SEVERITY_COLOURS[finding.severity])
        where = None if finding.where is None else str(finding.where)
        lines += message(head, finding.what, [("where", where), ("rule", finding.rule), ("hint", finding.hint)])
    return lines


def finding_document(finding: Finding) -> dict[str, Any]:
    """Return a finding as a document."""
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "what": finding.what,
        "where": place(finding.where),
        "hint": finding.hint,
    }


def place(where: Where | None) -> dict[str, Any] | None:
    """Return a place in an artifact as a document."""
    return None if where is None else {"member": where.member, "line": where.line, "offset": where.offset}


def size_text(size: int) -> str:
    """Return a size for people: `33.6 MB (33554432 bytes)`."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit} ({size} bytes)"
    return f"{size} byte{'' if size == 1 else 's'}"


def count_text(count: int, what: str) -> str:
    """Return `1 file`, `2 files`, `no files`."""
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def clean(text: str) -> str:
    """Return text in which what does not print (terminal controls, line ends, reversed writing) is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def styled(text: str, **style: Any) -> str:
    """Return text with a style, unless styles are not wanted (NO_COLOR) or not possible (TERM=dumb)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return click.style(text, **style)


def _write_lines(lines: Iterable[str], *, err: bool) -> None:
    text = "\n".join(lines)
    if text:
        click.echo(text, err=err)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
