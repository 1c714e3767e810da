"""Which board of the catalogue is the nearest to a new one."""

import re
from collections.abc import Iterable

from bistable.artifact.errors import RequestError
from bistable.tools.board.create.wish import Wish
from bistable.tools.board.model import Board
from bistable.tools.board.schema import shape_of


def nearest(wish: Wish, boards: Iterable[Board]) -> Board:
    """Return the board that has most in common with what is wished, the first of equals.

    Raises:
        RequestError: none has its slots in the same way.
    """
    near = [board for board in boards if wish.loader is None or shape_of(wish.loader) == shape_of(board.boot.flow)]
    if not near:
        raise RequestError(
            f"cannot begin with a board whose loader is {wish.loader}: there is none that is like it",
            hint="name one with --from",
        )
    return max(near, key=lambda board: closeness(wish, board))


def closeness(wish: Wish, board: Board) -> float:
    """Return how much a board has in common with what is wished: the boot flow counts most, then the architecture."""
    same_maker = _words(wish.soc) & _words(board.soc)
    return (
        16 * (wish.loader == board.boot.flow)
        + 4 * (wish.architecture == board.boot.architecture)
        + 2 * (wish.storage == board.storage.kind)
        # A processor of the same family starts from the same places and counts in the same way.
        + 3 * len(same_maker) / (len(_words(wish.soc)) or 1)
    )


def _words(soc: str) -> set[str]:
    return set(re.findall(r"[a-z]+|[0-9]+", soc.lower()))
