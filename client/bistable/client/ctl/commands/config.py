"""bistablectl config."""

import argparse
from pathlib import Path
from typing import Any

from bistable.client.config.kinds import shown
from bistable.client.config.settings import SETTINGS
from bistable.client.ctl import render
from bistable.client.ctl.session import loaded

DESCRIPTION = """Show the settings that are not the defaults, and which file says so; with --all, all of them."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("--all", action="store_true", help="the defaults, too")


def run(options: argparse.Namespace) -> int:
    """Show them."""
    result = loaded(options)
    rows: list[tuple[str, Any, str | None]] = []
    for setting in SETTINGS:
        origin = result.origins.get(setting.name)
        if origin is not None or options.all:
            group, attribute = setting.attributes
            value = getattr(getattr(result.settings, group), attribute)
            rows.append((setting.name, value, None if origin is None else str(origin)))
    if options.json:
        settings = {name: {"value": shown(value), "from": origin} for name, value, origin in rows}
        render.show_json("config/1", {"settings": settings, "ignored": list(result.ignored)})
        return 0
    if rows:
        render.show_table(("SETTING", "VALUE", "FROM"), [(n, shown(v), o or "default") for n, v, o in rows])
    else:
        render.show_text(f"all settings are the defaults ({Path('/etc/bistable/bistable.toml')} would change them)")
    for words in result.ignored:
        render.note(words)
    return 0
