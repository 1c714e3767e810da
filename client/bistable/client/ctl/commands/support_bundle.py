"""bistablectl support-bundle."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from bistable.client.ctl import render
from bistable.client.ctl.session import loaded
from bistable.client.deployment.bundle import collect, write_bundle
from bistable.client.deployment.device import Device

DESCRIPTION = """Collect what helps others to find a fault into one ZIP file: state, history, settings, the doctor's
findings, logs, boot arguments and mounts.

Keys, tokens and passwords are left out. Look into it before you give it away."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to; by default a dated name, here")


def run(options: argparse.Namespace) -> int:
    """Collect it."""
    result = loaded(options, quiet=True)
    device = Device(result.settings, environment=os.environ)
    now = datetime.fromtimestamp(device.system.wall(), UTC)
    path: Path = options.output or Path(f"bistable-support-{now:%Y%m%d-%H%M%S}.zip")
    parts = collect(result, device)
    write_bundle(path, parts)
    if options.json:
        render.show_json("support-bundle/1", {"file": str(path), "parts": sorted(parts)})
    else:
        render.show_text(f"wrote {path}: {', '.join(sorted(parts))}")
    return 0
