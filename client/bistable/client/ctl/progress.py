"""A line that shows how far a long piece of work is, where a terminal looks."""

import os
import sys
import time
from typing import Final

REDRAW: Final = 0.1
"""Seconds between two drawings; a terminal may be a slow serial line."""

MIB: Final = 1024 * 1024


class ProgressLine:
    """Draws on standard error, if that is a terminal."""

    def __init__(self, *, wanted: bool) -> None:
        self._shown = wanted and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._began = self._drawn = time.monotonic()
        self._open = False

    def __call__(self, done: int, total: int | None) -> None:
        """Show that `done` bytes of `total` are done."""
        if not self._shown:
            return
        now = time.monotonic()
        if done != total and now - self._drawn < REDRAW:
            return
        self._drawn = now
        self._draw(done, total, done / max(now - self._began, 0.001))

    def close(self) -> None:
        """End the line, so that what comes next begins on one of its own."""
        if self._open:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._open = False

    def _draw(self, done: int, total: int | None, rate: float) -> None:
        # Loaded only here: it brings all compressors of the standard library along.
        import shutil

        text = f"{done / MIB:8.1f} MiB"
        if total:
            left = (total - done) / rate if rate else 0.0
            text = f"{100 * done // total:3d} % {text} of {total / MIB:.1f} MiB"
            text += f"  {rate / MIB:.1f} MiB/s  {_time(left)} left"
        else:
            text += f"  {rate / MIB:.1f} MiB/s"
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r" + text[:width].ljust(width))
        sys.stderr.flush()
        self._open = True


def _time(seconds: float) -> str:
    whole = int(seconds + 0.5)
    return f"{whole // 60}:{whole % 60:02d}"
