"""The boards that come with the product, and where their templates are."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.spec.text import suggestion
from bistable.tools.board.load import load_board
from bistable.tools.board.model import FILE_NAME, Board

FOLDER: Final = "board-integrations"
SHARED: Final = PurePosixPath("share/bistable") / FOLDER
"""Where an installation keeps the boards, beneath its prefix."""

TEMPLATES: Final = "_templates"


def catalogue_folder() -> Path:
    """Return the folder with the boards.

    Raises:
        RequestError: this installation has none.
    """
    spec = find_spec("bistable.tools.board")
    assert spec is not None
    assert spec.origin is not None
    for place in (Path(spec.origin).parents[4] / FOLDER, Path(sys.prefix) / SHARED):
        if (place / TEMPLATES).is_dir():
            return place
    raise RequestError("cannot find the boards: this installation has none", hint="name the board.toml of yours")


def board_keys() -> tuple[str, ...]:
    """Return the names of the folders of all boards, sorted."""
    return tuple(sorted(file.parent.name for file in catalogue_folder().glob(f"*/{FILE_NAME}")))


def boards() -> Iterator[Board]:
    """Yield all boards, in the order of their names."""
    for key in board_keys():
        yield load_board(catalogue_folder() / key)


def find_board(name: str) -> Board:
    """Return a board: by its name one of those that come with the product; or a folder, or a file `board.toml`.

    Raises:
        RequestError: there is none, or what is wrong with it.
    """
    if "/" in name or name.endswith(".toml") or Path(name, FILE_NAME).is_file():
        return load_board(Path(name))
    if name not in board_keys():
        raise RequestError(
            f"cannot find the board {name}: there is none of that name",
            hint=f"{suggestion(name, board_keys())}; or name the folder of a board of yours, with a /",
        )
    return load_board(catalogue_folder() / name)
