"""Settings of the client that follow from the board, beside those that follow from its disk."""

from pathlib import PurePosixPath
from typing import Final

from bistable.tools.board.model import Board
from bistable.tools.board.render.templates import rendered

FOLDER: Final = PurePosixPath("conf.d")
DEVICE: Final = FOLDER / "15-device.toml"
BOOT: Final = FOLDER / "40-boot.toml"
WATCHDOG: Final = FOLDER / "45-watchdog.toml"


def own_settings(board: Board) -> dict[PurePosixPath, bytes]:
    """Return path -> content of what an image builder does not know by itself."""
    if board.watchdog is None:
        return {}
    return {WATCHDOG: rendered("watchdog.toml", {"watchdog": board.watchdog})}


def device_settings(board: Board) -> dict[PurePosixPath, bytes]:
    """Return path -> content of what the client has to know of a device whose disk is not made here."""
    return {DEVICE: rendered("device.toml", {"type": board.device_type})}
