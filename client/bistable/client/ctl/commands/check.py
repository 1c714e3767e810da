"""bistablectl check."""

import argparse

from bistable.client.ctl import render
from bistable.client.ctl.onbus import daemon

DESCRIPTION = """Have the daemon ask the server for an update now, and begin it if there is one.

'watch' shows what comes of it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""


def run(options: argparse.Namespace) -> int:
    """Have it ask."""
    with daemon() as bus:
        bus.call("Check")
    if options.json:
        render.show_json("check/1", {"asked": True})
    else:
        render.show_text("The server is asked for an update.")
    return 0
