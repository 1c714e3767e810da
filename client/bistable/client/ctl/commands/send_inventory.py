"""bistablectl send-inventory."""

import argparse

from bistable.client.ctl import render
from bistable.client.ctl.onbus import daemon

DESCRIPTION = """Have the daemon send the whole inventory to the server now. 'inventory' shows what that is."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""


def run(options: argparse.Namespace) -> int:
    """Have it sent."""
    with daemon() as bus:
        bus.call("SendInventory")
    if options.json:
        render.show_json("send-inventory/1", {"sent": True})
    else:
        render.show_text("The inventory is sent.")
    return 0
