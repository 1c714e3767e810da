"""The only place that writes to standard output and standard error."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TextIO

BOLD: Final = "1"
RED: Final = "31"
YELLOW: Final = "33"
GREEN: Final = "32"


def clean(text: str) -> str:
    """Return text for a terminal: what comes from artifacts or programs must not send commands to it."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """Return the text in a colour, where a terminal shows it and nobody minds (NO_COLOR)."""
    if os.environ.get("NO_COLOR") or not stream.isatty() or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


class OutputError(Exception):
    """Standard output does not take what is written to it, other than that nobody reads it."""


def flush() -> None:
    """Have all be written that was shown.

    Raises:
        OutputError: it cannot be written.
    """
    _to_output(sys.stdout.flush)


def _write(text: str) -> None:
    _to_output(lambda: sys.stdout.write(text))


def _to_output(act: Callable[[], object]) -> None:
    try:
        act()
    except BrokenPipeError:
        raise
    except OSError as e:
        raise OutputError(e.strerror or str(e)) from e


def show_json(schema: str, result: Mapping[str, Any]) -> None:
    """Write a result for programs: one JSON object."""
    _write(json.dumps({"schema": f"bistable.ctl.{schema}", **result}, indent=2) + "\n")


def show_json_line(schema: str, result: Mapping[str, Any]) -> None:
    """Write one result of many for programs, in one line, at once."""
    sys.stdout.write(json.dumps({"schema": f"bistable.ctl.{schema}", **result}) + "\n")
    sys.stdout.flush()


def show_text(text: str) -> None:
    """Write a result for people."""
    _write(clean(text) + "\n")


def show_lines(lines: Iterable[str]) -> None:
    """Write lines for people who watch, at once."""
    for line in lines:
        show_text(line)
    sys.stdout.flush()


def show_fields(fields: Iterable[tuple[str, str | None]]) -> None:
    """Write named values, in a column, without those that there are not."""
    there = [(name, value) for name, value in fields if value is not None]
    width = max((len(name) for name, _ in there), default=0)
    for name, value in there:
        _write(f"{name + ':':<{width + 2}}{clean(value)}\n")


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table; the last column is as wide as it is."""
    lines = [head, *rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(head))]
    for number, line in enumerate(lines):
        cells = [clean(cell).ljust(width) for cell, width in zip(line[:-1], widths, strict=False)]
        text = "  ".join([*cells, clean(line[-1])]).rstrip()
        _write((coloured(text, BOLD, sys.stdout) if number == 0 else text) + "\n")


def show_finding(word: str, colour: str, what: str, hint: str | None) -> None:
    """Write something that was found, after a word that says how bad it is."""
    _write(f"{coloured(word.ljust(5), colour, sys.stdout)}  {clean(what)}\n")
    for line in (hint or "").splitlines():
        _write(f"         {clean(line)}\n")


def note(text: str) -> None:
    """Write what is worth knowing beside the result."""
    sys.stderr.write(clean(text) + "\n")


def warn(text: str) -> None:
    """Write a warning."""
    sys.stderr.write(f"{coloured('warning:', YELLOW, sys.stderr)} {clean(text)}\n")


def show_error(what: str, hint: str | None) -> None:
    """Write what went wrong, and what to do next."""
    sys.stderr.write(f"{coloured('error:', RED, sys.stderr)} {clean(what)}\n")
    if hint:
        for line in hint.splitlines():
            sys.stderr.write(f"  {clean(line)}\n")
