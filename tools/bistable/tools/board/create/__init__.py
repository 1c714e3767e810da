"""A new board, begun from the nearest one that is known."""

from bistable.tools.board.create.compose import compose
from bistable.tools.board.create.nearest import nearest
from bistable.tools.board.create.wish import Wish
from bistable.tools.board.create.write import NewBoard, write_board

__all__ = ["NewBoard", "Wish", "compose", "nearest", "write_board"]
