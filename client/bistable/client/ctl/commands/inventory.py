"""bistablectl inventory."""

import argparse

from bistable.client.attributes import identity, inventory
from bistable.client.ctl import render
from bistable.client.ctl.session import device_of, looking
from bistable.client.deployment.first import UNKNOWN
from bistable.client.deployment.suit import NAME
from bistable.client.version import VERSION

DESCRIPTION = """Show what this device would tell a server of itself: its inventory, or with --identity what tells it
from others."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("--identity", action="store_true", help="the identity, not the inventory")


def run(options: argparse.Namespace) -> int:
    """Show it."""
    device = device_of(options)
    attributes = device.settings.attributes
    if options.identity:
        found = identity(attributes.identity_programs)
    else:
        with looking(device) as store:
            provides = {} if store is None else store.provides()
        given = {
            **provides,
            "device_type": device.device_type() or UNKNOWN,
            "artifact_name": provides.get(NAME, UNKNOWN),
            "bistable_client_version": VERSION,
        }
        found = inventory(attributes.inventory_dirs, given)
    if options.json:
        values = {name: value if isinstance(value, str) else list(value) for name, value in found.items()}
        render.show_json("inventory/1", {"attributes": values})
        return 0
    for name, value in sorted(found.items()):
        for one in (value,) if isinstance(value, str) else value:
            render.show_text(f"{name}={one}")
    return 0
