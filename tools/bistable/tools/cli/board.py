"""`bistable board`: from a board that boots Linux to one that updates safely."""

from typing import Final

import click

from bistable.artifact.cli.framework import LazyGroup

_HERE: Final = "bistable.tools.cli"
COMMANDS: Final = {
    "list": f"{_HERE}.board_list:list_boards",
    "show": f"{_HERE}.board_show:show",
    "new": f"{_HERE}.board_new:new",
    "check": f"{_HERE}.board_check:check",
    "render": f"{_HERE}.board_render:render",
    "test": f"{_HERE}.board_test:test",
    "doctor": f"{_HERE}.board_doctor:doctor",
}


@click.group(cls=LazyGroup, table=COMMANDS)
def board() -> None:
    """Describe a board, check and render what it needs, and prove that it updates safely."""
