"""All files of a board."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from bistable.tools.board.model import Board
from bistable.tools.board.render.catalogue import PAGE
from bistable.tools.board.render.disk import disk_files, plan_disk
from bistable.tools.board.render.flash import flash_files, plan_flash
from bistable.tools.board.render.layoutfile import FOLDER, NAME, layout_text, rendered_layout
from bistable.tools.board.render.machine import machine_files
from bistable.tools.board.render.openembedded import openembedded_files
from bistable.tools.board.render.page import page
from bistable.tools.board.render.settings import device_settings, own_settings
from bistable.tools.board.render.vendor import vendor_files


def render_board(board: Board) -> Mapping[PurePosixPath, bytes]:
    """Return path (in the board's folder) -> content of everything that follows from a board.

    Nothing but the templates is read, and the same board gives the same bytes.

    Raises:
        RequestError: what the board says cannot be, or this installation has no templates.
    """
    disk = None if board.layout is None else plan_disk(rendered_layout(board))
    flash = None if board.ubi is None else plan_flash(board, board.ubi)
    files: dict[PurePosixPath, bytes] = {}
    if disk is not None:
        files |= {PurePosixPath(NAME): layout_text(board).encode(), **disk_files(disk)}
    else:
        files |= device_settings(board)
    if flash is not None:
        files |= flash_files(flash)
    if board.vendor is not None:
        files |= vendor_files(board, board.vendor)
    files |= own_settings(board)
    files |= openembedded_files(board, disk, flash)
    files |= machine_files(board)
    inside = {FOLDER / path: content for path, content in sorted(files.items())}
    return {PAGE: page(board, disk, flash, tuple(inside)), **inside}
