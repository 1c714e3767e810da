"""bistablectl resume."""

import argparse

from bistable.client.ctl.outcome import show_stand
from bistable.client.ctl.session import is_served_update, leading
from bistable.client.errors import UsageError

DESCRIPTION = """Go on with an update that is held at a point, or that was interrupted.

Exit code 2: there is no update in progress."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("--reboot-exit-code", action="store_true", help="exit with 4 if the device has to be rebooted")


def run(options: argparse.Namespace) -> int:
    """Resume."""
    if is_served_update(options):
        raise UsageError(
            "cannot resume: the service leads this update, and others may hold it",
            hint="'bistablectl continue' says that it may go on",
        )
    with leading(options) as led:
        return show_stand(led.engine.resume(), led, options)
