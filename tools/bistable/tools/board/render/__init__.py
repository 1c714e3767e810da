"""From a board to all files that follow from it: the page, what boots it, and what builds, flashes and leads it."""

from bistable.tools.board.render.catalogue import render_catalogue
from bistable.tools.board.render.files import render_board
from bistable.tools.board.render.write import Change, ChangeKind, changes, write_changes

__all__ = ["Change", "ChangeKind", "changes", "render_board", "render_catalogue", "write_changes"]
