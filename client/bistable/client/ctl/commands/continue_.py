"""bistablectl continue."""

import argparse

from bistable.client.ctl import render
from bistable.client.ctl.onbus import daemon
from bistable.client.model import Point

DESCRIPTION = """Let an update go on that waits at a point.

What others hold stays held: applications that inhibit it, and control maps. With --force it goes on all the same. Exit
code 2: there is no update in progress."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "--point", choices=[point.value for point in Point], default="", help="only if it waits before this"
    )
    parser.add_argument("--update", metavar="ID", default="", help="only if it is this update")
    parser.add_argument("--force", action="store_true", help="go over what others hold")


def run(options: argparse.Namespace) -> int:
    """Continue."""
    with daemon() as bus:
        held = bus.properties()
        bus.call("Continue", options.update, options.point, options.force)
    point = options.point or held["HeldAt"]
    if options.json:
        render.show_json("continue/1", {"update": held["UpdateId"], "point": point, "force": options.force})
    else:
        words = "whatever holds it" if options.force else "unless others hold it"
        render.show_text(f"The update goes on with: {point}, {words}.")
    return 0
