"""The command `bistablectl`."""

import gc
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a process: of a service manager, and of a terminal that is gone."""

GARBAGE: Final = 50_000
"""Objects until the collector looks for cycles. Loading a command makes as many, and none of them is garbage."""


def main() -> NoReturn:
    """Run the command line of this process."""
    gc.set_threshold(GARBAGE)
    from bistable.client.ctl.app import run

    _open_standard_streams()
    for number in ENDING:
        # Who started the process may want it to outlive the terminal, as nohup does.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    sys.exit(run(sys.argv[1:]))


def _end(number: int, _: FrameType | None) -> NoReturn:
    """End as after Ctrl-C: what was begun is left in order, and no module goes on alone."""
    sys.exit(128 + number)


def _open_standard_streams() -> None:
    """See to it that there are three: else a slot, opened next, would get the number to which messages are written."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
