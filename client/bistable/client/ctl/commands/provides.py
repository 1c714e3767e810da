"""bistablectl provides."""

import argparse

from bistable.client.ctl import render
from bistable.client.ctl.session import device_of, looking
from bistable.client.deployment.device import line_of

DESCRIPTION = """Show what this device provides: the artifact's name and group, and what else its payloads brought."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""


def run(options: argparse.Namespace) -> int:
    """Show it."""
    device = device_of(options)
    with looking(device) as store:
        provides = {} if store is None else store.provides()
    if not provides and (name := line_of(device.settings.device.artifact_info_file, "artifact_name")):
        provides = {"artifact_name": name}
    if options.json:
        render.show_json("provides/1", {"provides": provides})
    else:
        for key, value in sorted(provides.items()):
            render.show_text(f"{key}={value}")
    return 0
