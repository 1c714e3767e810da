"""bistablectl inhibit."""

import argparse
import os
import select

from bistable.client.ctl import render
from bistable.client.ctl.onbus import daemon
from bistable.client.errors import UsageError
from bistable.client.model import Point
from bistable.client.run import run_attached

DESCRIPTION = """Hold updates while a command runs, such as

    bistablectl inhibit --why 'a backup runs' --point reboot -- /usr/bin/backup

However the command ends, updates are free again. The exit code is that of the command."""

MODES = ("block", "delay")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("--why", required=True, metavar="TEXT", help="why, for people here and at the server")
    parser.add_argument("--who", metavar="NAME", default="", help="who holds it; by default the command")
    parser.add_argument(
        "--point",
        action="append",
        choices=[point.value for point in Point],
        help="before what (may be given several times); by default all",
    )
    parser.add_argument(
        "--mode", choices=MODES, default="block", help="until it ends, or until then but ten minutes at most"
    )
    parser.add_argument("--seconds", type=int, default=0, metavar="N", help="let go after that time in any case")
    parser.add_argument("words", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")


def run(options: argparse.Namespace) -> int:
    """Hold, run, let go."""
    if options.seconds < 0:
        raise UsageError("cannot hold updates for less than no time")
    what = ":".join(options.point or [point.value for point in Point])
    who = options.who or os.path.basename(options.words[0])  # noqa: PTH119 - it may be no path at all
    with daemon() as bus:
        (hold,) = bus.call("Inhibit", what, who, options.why, options.mode, options.seconds)
        try:
            code = run_attached(options.words)
            if _lost(hold):
                render.warn("the hold ended before the command did: its time was over, or the daemon stopped")
        finally:
            os.close(hold)
    return code


def _lost(hold: int) -> bool:
    """Return whether the daemon let go of a hold."""
    poll = select.poll()
    poll.register(hold, 0)
    return bool(poll.poll(0))
