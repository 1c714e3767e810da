"""bistablectl pause."""

import argparse

from bistable.client.ctl import render
from bistable.client.ctl.onbus import daemon
from bistable.client.model import Point

DESCRIPTION = """Hold the update in progress before a point, until 'continue'. That stays over reboots.

Without --point it is held at the next point it comes to, and at all after that. Updates to come are held by 'inhibit'.
Exit code 2: there is no update in progress."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "--point",
        action="append",
        choices=[point.value for point in Point],
        help="before what (may be given several times)",
    )
    parser.add_argument("--update", metavar="ID", default="", help="only if it is this update")


def run(options: argparse.Namespace) -> int:
    """Pause."""
    points = options.point or [point.value for point in Point]
    with daemon() as bus:
        bus.call("Pause", points, options.update)
        now = bus.properties()
    if options.json:
        render.show_json("pause/1", {"update": now["UpdateId"], "state": now["State"], "points": points})
    else:
        render.show_text(f"The update is held before: {', '.join(points)}. 'bistablectl continue' lets it go on.")
    return 0
