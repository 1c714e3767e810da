"""bistablectl rollback."""

import argparse

from bistable.client.ctl.onbus import ask_service
from bistable.client.ctl.outcome import show_stand
from bistable.client.ctl.session import is_served_update, leading

DESCRIPTION = """Undo an update that is not permanent yet.

If what it installed runs already, the device has to be rebooted afterwards. Exit code 2: there is no update in
progress."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("--reboot-exit-code", action="store_true", help="exit with 4 if the device has to be rebooted")


def run(options: argparse.Namespace) -> int:
    """Roll back."""
    if is_served_update(options):
        return ask_service(options, "Rollback")
    with leading(options) as led:
        return show_stand(led.engine.rollback(), led, options)
