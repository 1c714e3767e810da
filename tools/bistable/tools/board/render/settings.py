"""Settings of the client that follow from the board, beside those on slots and boot loader."""

from pathlib import PurePosixPath
from typing import Final

from bistable.tools.board.model import Board
from bistable.tools.board.render.disk import SETTINGS
from bistable.tools.board.render.templates import rendered

WATCHDOG: Final = SETTINGS / "45-watchdog.toml"


def own_settings(board: Board) -> dict[PurePosixPath, bytes]:
    """Return path -> content."""
    if board.watchdog is None:
        return {}
    return {WATCHDOG: rendered("watchdog.toml", {"watchdog": board.watchdog})}
