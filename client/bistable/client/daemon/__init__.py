"""The service `bistabled`: asks the server, leads updates, and lets applications hold them."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process."""
    from bistable.client.daemon.app import run

    sys.exit(run(sys.argv[1:]))
