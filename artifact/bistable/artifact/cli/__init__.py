"""The command line, `bistable`: parse, call one library function, render its result."""

import signal
import sys
from typing import Final, NoReturn

START_FAILED: Final = 7
"""Exit code if the packages of the command line are not installed: the machine is at fault (FORMAT.md §13)."""


def main() -> None:
    """Run the command line and exit; the entry point of the script `bistable`."""
    try:
        from bistable.artifact.cli.app import bistable
    except ModuleNotFoundError as e:
        if e.name != "click":
            raise
        sys.stderr.write("error: cannot start: the Python package click is not installed\n")
        sys.stderr.write("  hint: pip install 'bistable[cli]'\n")
        sys.exit(START_FAILED)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    bistable(prog_name="bistable")


def _leave(number: int, _frame: object) -> NoReturn:
    """End as the signal would have ended the program, but tidy up on the way."""
    sys.exit(128 + number)
