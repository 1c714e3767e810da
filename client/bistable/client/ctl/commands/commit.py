"""bistablectl commit."""

import argparse

from bistable.client.ctl.outcome import show_stand
from bistable.client.ctl.session import leading

DESCRIPTION = """Keep an update that runs on trial: make it permanent.

It must have been booted, if it needs that, and the system must be healthy; an unhealthy one is rolled back.
Exit code 2: there is no update in progress."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""


def run(options: argparse.Namespace) -> int:
    """Commit."""
    with leading(options) as led:
        return show_stand(led.engine.commit(), led, options)
