"""bistablectl history."""

import argparse
from datetime import UTC, datetime

from bistable.client.ctl import render
from bistable.client.ctl.session import device_of, looking

DESCRIPTION = """Show the updates that ended, the latest first."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""


def run(options: argparse.Namespace) -> int:
    """Show them."""
    with looking(device_of(options)) as store:
        found = [] if store is None else store.history()
    if options.json:
        names = ("id", "artifact", "result", "error", "where", "began", "ended")
        updates = [{name: getattr(one, name) for name in names} for one in found]
        render.show_json("history/1", {"updates": updates})
    elif not found:
        render.show_text("no update has ended on this device")
    else:
        rows = [(_time(one.ended), one.artifact or "?", one.result, one.error or "") for one in found]
        render.show_table(("ENDED", "ARTIFACT", "RESULT", "WHY"), rows)
    return 0


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
