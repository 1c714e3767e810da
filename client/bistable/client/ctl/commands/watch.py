"""bistablectl watch."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from bistable.client.bus.events import CHANGED, ENDED, HELD, STARTED, STATE_CHANGED, STOPPED, BusEvent
from bistable.client.ctl import render
from bistable.client.ctl.onbus import daemon

DESCRIPTION = """Show what happens with updates as it happens: first what there is, then what changes, until it is
interrupted.

With --json each line is an object with 'event' (started, changed, state-changed, held, ended, stopped) and 'values',
which are those of the D-Bus interface."""

TOLD: Final = frozenset({"State", "HeldAt", "LastResult", "LastError", "LastErrorCode"})
"""Properties whose changes signals tell as well."""

WORDS: Final = {
    "State": "state",
    "Substate": "doing",
    "Artifact": "update",
    "CurrentArtifact": "running",
    "HeldAt": "held before",
    "HeldBy": "held by",
    "Holders": "holders",
    "Progress": "progress",
    "RebootRequired": "reboot required",
    "LastResult": "last result",
    "LastErrorCode": "last error's code",
    "LastError": "last error",
}
"""Property -> what it is called in lines for people; the others are not shown there."""

MIB: Final = 1024 * 1024


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""


def run(options: argparse.Namespace) -> int:
    """Watch."""
    with daemon() as bus:
        for event in bus.watch():
            if options.json:
                render.show_json_line("watch/1", {"event": event.kind, "values": event.values})
            else:
                render.show_lines(lines(event))
    return 0


def lines(event: BusEvent) -> list[str]:
    """Return an event in words for people; empty if it is told by another one as well."""
    values = event.values
    if event.kind in {STARTED, CHANGED}:
        return _properties(values, all_of_them=event.kind == STARTED)
    if event.kind == STATE_CHANGED:
        return [f"state: {values['new']}" + (f" ({values['reason']})" if values["reason"] else "")]
    if event.kind == HELD:
        return [f"held before {values['point']}: {'; '.join(values['reasons'])}"]
    if event.kind == ENDED:
        return [f"ended: {values['result']}" + (f", {values['error']}" if values["error"] else "")]
    return ["the daemon stopped"] if event.kind == STOPPED else []


def _properties(values: Mapping[str, Any], *, all_of_them: bool) -> list[str]:
    found = []
    for name, value in values.items():
        if name not in WORDS or (not value if all_of_them else name in TOLD):
            continue
        found.append(f"{WORDS[name]}: {_value(name, value)}")
    return found


def _value(name: str, value: Any) -> str:
    if name == "Progress":
        return _progress(value)
    if name == "Holders":
        return "; ".join(f"{one['who']}: {one['why']}" for one in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "; ".join(value) or "none" if isinstance(value, list) else str(value) or "none"


def _progress(value: Mapping[str, Any]) -> str:
    if not value:
        return "none"
    text = f"{value['bytes'] / MIB:.1f} MiB"
    if "total" in value:
        text = f"{value['percent']} %, {text} of {value['total'] / MIB:.1f} MiB"
    if "rate" in value:
        text += f", {value['rate'] / MIB:.1f} MiB/s"
    if "left" in value:
        text += f", {value['left']:.0f} s left"
    return text
