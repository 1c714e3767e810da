"""bistablectl commit."""

import argparse

from bistable.client.ctl.onbus import ask_service
from bistable.client.ctl.outcome import show_stand
from bistable.client.ctl.session import is_served_update, leading

DESCRIPTION = """Keep an update that runs on trial: make it permanent.

It must have been booted, if it needs that, and the system must be healthy; an unhealthy one is rolled back.
Exit code 2: there is no update in progress."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""


def run(options: argparse.Namespace) -> int:
    """Commit."""
    if is_served_update(options):
        return ask_service(options, "Commit")
    with leading(options) as led:
        return show_stand(led.engine.commit(), led, options)
