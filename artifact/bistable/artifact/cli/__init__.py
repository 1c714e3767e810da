"""The command line, `bistable`: parse, call one library function, render its result."""

import sys
from typing import Final

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
    bistable(prog_name="bistable")
