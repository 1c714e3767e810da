"""`bistable board render`: all files that follow from a board, or how those that lie there differ from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, OUTPUT, output_options
from bistable.artifact.cli.render import Console, View, clean, count_text, styled
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

    from bistable.tools.board.render import Change

_COLOURS: Final = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    """What was rendered for a folder, and what is different there."""

    folder: Path
    files: "Mapping[PurePosixPath, bytes]"
    changes: "Sequence[Change]"


@command(
    "render",
    examples=[
        Example("Write all files of a board of yours", "bistable board render boards/acorn-2/"),
        Example("See what a change of board.toml makes of them", "bistable board render --check boards/acorn-2/"),
        Example("Write them elsewhere, to look at them", "bistable board render qemuarm -o here"),
        Example("Write those of all boards of the catalogue, and its table", "bistable board render --all"),
    ],
)
@option(
    "-o",
    "--output",
    type=FILE,
    metavar="DIR",
    section=OUTPUT,
    help="Write into this directory, which is made if it is not there. By default that of the board.",
)
@option("--check", is_flag=True, help="Write nothing: show as a diff what is different, and end with 1 if anything is.")
@option("--all", "everything", is_flag=True, help="All boards that come with the product, and the table of them.")
@output_options
@click.argument("board", required=False)
@click.pass_context
def render(
    ctx: click.Context, board: str | None, output: Path | None, check: bool, everything: bool, console: Console
) -> None:
    """Write everything that follows from a board: its README.md, and all files in its folder rendered.

    BOARD is a board that comes with the product, a folder, or a board.toml. Files that lie in rendered and are not
    rendered any more are removed. What each file is for stands in the README.md.
    """
    from bistable.tools.board.render import write_changes

    found = list(_all() if _is_all(board, output, everything=everything) else _one(board or "", output))
    if not check:
        for one in found:
            write_changes(one.folder, one.files, one.changes)
    console.result(_view(found, check=check))
    if check and any(one.changes for one in found):
        ctx.exit(1)


def _is_all(board: str | None, output: Path | None, *, everything: bool) -> bool:
    if everything and board is not None:
        raise RequestError(f"cannot render {board} and all boards: name it, or write --all")
    if everything and output is not None:
        raise RequestError("cannot write all boards into one directory", hint="leave --output out")
    if not everything and board is None:
        raise RequestError("cannot render a board: none is named", hint="name it, or write --all")
    return everything


def _one(name: str, output: Path | None) -> Iterator[_Rendered]:
    from bistable.tools.board.catalogue import find_board
    from bistable.tools.board.render import changes, render_board

    board = find_board(name)
    folder, files = output or board.folder, render_board(board)
    yield _Rendered(folder=folder, files=files, changes=changes(folder, files))


def _all() -> Iterator[_Rendered]:
    from bistable.tools.board.catalogue import boards, catalogue_folder
    from bistable.tools.board.render import changes, render_board, render_catalogue

    found = list(boards())
    for board in found:
        files = render_board(board)
        yield _Rendered(folder=board.folder, files=files, changes=changes(board.folder, files))
    folder, files = catalogue_folder(), render_catalogue(found)
    yield _Rendered(folder=folder, files=files, changes=changes(folder, files))


def _view(found: Sequence[_Rendered], *, check: bool) -> View:
    return View(
        schema="board.render/1",
        document={"check": check, "folders": [_document(one) for one in found]},
        lines=list(_check_lines(found) if check else _written_lines(found)),
    )


def _document(one: _Rendered) -> dict[str, Any]:
    return {
        "folder": str(one.folder),
        "files": [str(path) for path in one.files],
        "changes": [
            {"path": str(change.path), "kind": change.kind.value, "diff": change.diff()} for change in one.changes
        ],
    }


def _written_lines(found: Sequence[_Rendered]) -> Iterator[str]:
    for one in found:
        yield f"{clean(str(one.folder))}: {count_text(len(one.files), 'file')}, {_changed(one)}"
        for change in one.changes:
            yield f"  {change.kind.value:8} {clean(str(change.path))}"


def _check_lines(found: Sequence[_Rendered]) -> Iterator[str]:
    for one in found:
        for change in one.changes:
            yield from (_coloured(clean(line)) for line in change.diff())
    for one in found:
        yield f"{clean(str(one.folder))}: {_changed(one)}"


def _changed(one: _Rendered) -> str:
    return f"{len(one.changes)} changed" if one.changes else "nothing has changed"


def _coloured(line: str) -> str:
    if line.startswith(("+++", "---")):
        return styled(line, bold=True)
    colour = _COLOURS.get(line[:1])
    return line if colour is None else styled(line, fg=colour)
