"""bistablectl recover."""

import argparse

from bistable.client.ctl import render
from bistable.client.ctl.outcome import show_stand
from bistable.client.ctl.session import leading

DESCRIPTION = """See to the update in progress after a boot: verify what was installed, finish what was interrupted.

What is held stays held. A new system that waits for its commit gets its tries again, so that further power cuts boot it
again: for that, let the device run this command at every boot (bistable-recover.service). Exit code 0 also if there is
no update in progress."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("--reboot-exit-code", action="store_true", help="exit with 4 if the device has to be rebooted")


def run(options: argparse.Namespace) -> int:
    """Recover."""
    with leading(options) as led:
        if led.engine.current() is None:
            led.heal()
            render.note("no update is in progress")
        return show_stand(led.engine.recover(), led, options)
