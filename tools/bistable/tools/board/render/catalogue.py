"""The page with the table of all boards."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from bistable.tools.board.model import Board
from bistable.tools.board.render.prose import reflowed
from bistable.tools.board.render.templates import rendered

PAGE: Final = PurePosixPath("README.md")


def render_catalogue(boards: Sequence[Board]) -> Mapping[PurePosixPath, bytes]:
    """Return path (in the folder of all boards) -> content of what follows from all of them."""
    return {PAGE: reflowed(rendered("catalogue.md", {"boards": boards}).decode()).encode()}
