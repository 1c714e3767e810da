"""All files of a board."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from bistable.tools.board.model import Board
from bistable.tools.board.render.catalogue import PAGE
from bistable.tools.board.render.disk import disk_files, plan_disk
from bistable.tools.board.render.layoutfile import FOLDER, NAME, layout_text, rendered_layout
from bistable.tools.board.render.machine import machine_files
from bistable.tools.board.render.openembedded import openembedded_files
from bistable.tools.board.render.page import page
from bistable.tools.board.render.settings import own_settings


def render_board(board: Board) -> Mapping[PurePosixPath, bytes]:
    """Return path (in the board's folder) -> content of everything that follows from a board.

    Nothing but the templates is read, and the same board gives the same bytes.

    Raises:
        RequestError: what the board says cannot be, or this installation has no templates.
    """
    disk = None if board.layout is None else plan_disk(rendered_layout(board))
    files: dict[PurePosixPath, bytes] = {}
    if disk is not None:
        files |= {PurePosixPath(NAME): layout_text(board).encode(), **disk_files(disk)}
    files |= own_settings(board)
    files |= openembedded_files(board, None if disk is None else disk.layout)
    files |= machine_files(board)
    inside = {FOLDER / path: content for path, content in sorted(files.items())}
    return {PAGE: page(board, disk, tuple(inside)), **inside}
