"""bistablectl show."""

import argparse
from typing import Any

from bistable.client.ctl import render
from bistable.client.ctl.session import device_of, looking
from bistable.client.deployment.suit import check_suitable, offer_of
from bistable.client.errors import UnsuitableError

DESCRIPTION = """Show what an artifact is, and whether this device would take it: signature, device type, depends.

Only its head is read and checked; 'install' checks the payload while it is written."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("where", metavar="ARTIFACT", help="a file, an http(s) address, or - for standard input")


def run(options: argparse.Namespace) -> int:
    """Show it."""
    from bistable.artifact.reader import ArtifactReader
    from bistable.client.fetch import open_artifact

    device = device_of(options)
    with open_artifact(options.where, device.fetch_settings()) as source:
        head = ArtifactReader(source, device.policy).read_head()
    offer = offer_of(head.header)
    with looking(device) as store:
        provides = {} if store is None else store.provides()
    unsuitable: str | None = None
    try:
        check_suitable(offer, device.device_type(), provides)
    except UnsuitableError as e:
        unsuitable = e.what
    result: dict[str, Any] = {
        "artifact": offer.name,
        "group": offer.group,
        "device_types": list(offer.device_types),
        "payload_type": offer.payload_type,
        "provides": dict(offer.provides),
        "depends": {key: list(values) for key, values in offer.depends.items()},
        "clears": None if offer.clears is None else list(offer.clears),
        "scripts": [script.name for script in head.header.scripts],
        "signature": head.signature.value,
        "key": head.key,
        "suitable": unsuitable is None,
        "why_not": unsuitable,
    }
    if options.json:
        render.show_json("show/1", result)
    else:
        _show(result)
    return 0


def _show(result: dict[str, Any]) -> None:
    render.show_fields(
        [
            ("artifact", result["artifact"]),
            ("group", result["group"]),
            ("device types", ", ".join(result["device_types"])),
            ("payload", result["payload_type"] or "none"),
            ("signature", result["signature"] + (f", by {result['key']}" if result["key"] else "")),
            ("provides", _pairs({key: [value] for key, value in result["provides"].items()})),
            ("depends", _pairs(result["depends"])),
            ("clears", ", ".join(result["clears"] or ()) or None),
            ("scripts", ", ".join(result["scripts"]) or None),
            ("for this device", "yes" if result["suitable"] else f"no: {result['why_not']}"),
        ]
    )


def _pairs(values: dict[str, list[str]]) -> str | None:
    return ", ".join(f"{key}={'|'.join(several)}" for key, several in values.items()) or None
