"""bistablectl adopt."""

import argparse
from dataclasses import asdict
from pathlib import Path

from bistable.client.adopt import Adoption, describe, read_legacy
from bistable.client.ctl import render
from bistable.client.ctl.session import leading, loaded
from bistable.client.deployment.first import LEGACY

DESCRIPTION = """Take this device over from the Mender client, or with --dry-run only show what that comes to.

What that client left is read and never changed, so that it can go on as before after a rollback. Every other command
that changes something does the same when it is used for the first time."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("--dry-run", action="store_true", help="only show it")
    parser.add_argument(
        "--from", dest="legacy", type=Path, default=LEGACY, metavar="DIR", help="the other data directory"
    )


def run(options: argparse.Namespace) -> int:
    """Show it, and do it."""
    result = loaded(options)
    device = result.settings.device
    legacy = read_legacy(
        options.legacy, artifact_info=device.artifact_info_file, device_type_file=device.device_type_file
    )
    adoption = describe(legacy, result)
    if not options.dry_run:
        with leading(options, legacy_dir=options.legacy):
            pass
    if options.json:
        render.show_json("adopt/1", asdict(adoption))
    else:
        _show(adoption)
    return 0


def _show(adoption: Adoption) -> None:
    if adoption.taken:
        render.show_table(("WHAT", "VALUE", "FROM"), [(one.what, one.value, one.source) for one in adoption.taken])
    else:
        render.show_text("nothing is there to be taken over")
    if (update := adoption.unfinished) is not None:
        render.show_text(
            f"\nAn update is in progress: {update.artifact or 'unknown'} ({update.state}). Left to do: {update.duty}."
        )
    for words in (*adoption.ignored, *adoption.not_understood):
        render.note(words)
