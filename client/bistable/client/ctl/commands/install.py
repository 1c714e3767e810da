"""bistablectl install."""

import argparse

from bistable.client.ctl.outcome import show_stand
from bistable.client.ctl.session import leading
from bistable.client.deployment.standalone import STOPS
from bistable.client.model import Mode
from bistable.client.system import new_name

DESCRIPTION = """Install an artifact.

A root file system is written to the slot that does not run; the device is then rebooted by hand, and the update kept
with 'bistablectl commit'. Other payloads are installed by their update module. What cannot be rolled back is committed
at once. Nothing that runs now is changed before the artifact was verified; a failure is rolled back."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("where", metavar="ARTIFACT", help="a file, an http(s) address, or - for standard input")
    parser.add_argument(
        "--stop-before",
        action="append",
        default=[],
        choices=list(STOPS),
        metavar="POINT",
        help="stop there until 'resume' (may be given several times): " + ", ".join(STOPS),
    )
    parser.add_argument("--reboot-exit-code", action="store_true", help="exit with 4 if the device has to be rebooted")


def run(options: argparse.Namespace) -> int:
    """Install it."""
    stops = frozenset(STOPS[point] for point in options.stop_before)
    with leading(options) as led:
        led.engine.recover()
        led.heal()
        stand = led.engine.begin(options.where, name=new_name(), mode=Mode.STANDALONE, stops=stops)
        return show_stand(stand, led, options)
