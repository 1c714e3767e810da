"""bistablectl abort."""

import argparse
from dataclasses import replace

from bistable.client.ctl.onbus import ask_service
from bistable.client.ctl.outcome import show_stand
from bistable.client.ctl.session import is_served_update, leading
from bistable.client.errors import AbortedError

DESCRIPTION = """Stop an update.

Before anything was installed, that is all; later, it is rolled back. Exit code 2: there is no update in progress."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("--reason", default="somebody aborted it at the command line", help="why, for the history")


def run(options: argparse.Namespace) -> int:
    """Abort."""
    if is_served_update(options):
        return ask_service(options, "Abort", options.reason)
    with leading(options) as led:
        stand = led.engine.abort(options.reason)
        # It was asked for: that it was aborted is success, and no error to be shown.
        done = stand.trouble is not None and stand.trouble.code == AbortedError.code
        code = show_stand(replace(stand, trouble=None) if done else stand, led, options)
        return 0 if done else code
