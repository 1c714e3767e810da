"""The command `bistablectl`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process."""
    from bistable.client.ctl.app import run

    sys.exit(run(sys.argv[1:]))
