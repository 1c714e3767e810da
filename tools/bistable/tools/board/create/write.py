"""A new board in a folder, where there is none yet."""

from dataclasses import dataclass
from pathlib import Path

from bistable.artifact.errors import MachineError, RequestError
from bistable.tools.board.create.compose import UNPROVED, compose
from bistable.tools.board.create.wish import Wish
from bistable.tools.board.load import parse_board
from bistable.tools.board.model import FILE_NAME, UBOOTS, Board
from bistable.tools.board.schema import shape_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBoard:
    """A board that was written; `unproved` of its lines hold something that nobody has looked up."""

    board: Board
    unproved: int


def write_board(wish: Wish, base: Board, folder: Path) -> NewBoard:
    """Write `board.toml` into a folder, which is made if it is not there.

    Raises:
        RequestError: there is a board already, or what is wished cannot be.
        MachineError: it cannot be written.
    """
    file = folder / FILE_NAME
    if wish.loader is not None and (
        shape_of(wish.loader) != shape_of(base.boot.flow) or (wish.loader in UBOOTS and base.uboot is None)
    ):
        raise RequestError(
            f"cannot begin with {base.key} for a board whose loader is {wish.loader}: that of {base.key} is "
            f"{base.boot.flow.value}, and what it needs is another",
            hint="leave --from out, or name a board with that loader (`bistable board list --flow`)",
        )
    text = compose(wish, base, folder.resolve().name)
    board = parse_board(text.encode(), folder.resolve(), origin=str(file))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as output:
            output.write(text.encode())
    except FileExistsError as e:
        raise RequestError(f"cannot write {file}: it is there already", hint="name another folder") from e
    except OSError as e:
        raise MachineError(f"cannot write {file}: {e.strerror}") from e
    return NewBoard(board=board, unproved=sum(line.endswith(UNPROVED) for line in text.splitlines()))
