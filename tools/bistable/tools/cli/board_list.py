"""`bistable board list`: the boards that come with Bistable."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import output_options
from bistable.artifact.cli.render import Console, View, clean
from bistable.tools.cli.boardchoices import ARCHITECTURES, FLOWS, STATUSES

if TYPE_CHECKING:
    from bistable.tools.board.model import Board

_HEADINGS: Final = ("board", "processor", "boot flow", "storage", "architecture", "releases", "status")
_GAP: Final = "  "


@command(
    "list",
    examples=[
        Example("See all boards", "bistable board list"),
        Example(
            "See those on which U-Boot chooses the slot", "bistable board list --flow uboot --flow uboot-environment"
        ),
        Example("Get the names of those that were booted", "bistable board list --status booted --json"),
    ],
)
@option(
    "--flow", "flows", type=FLOWS, multiple=True, help="Only boards with this boot flow. May be given several times."
)
@option("--architecture", "architectures", type=ARCHITECTURES, multiple=True, help="Only boards of this architecture.")
@option("--status", "statuses", type=STATUSES, multiple=True, help="Only boards that are known to work so far.")
@output_options
def list_boards(flows: Sequence[str], architectures: Sequence[str], statuses: Sequence[str], console: Console) -> None:
    """List the boards that come with Bistable, and how far each is known to work.

    A board is `booted` if the conformance suite has passed on it, in QEMU or on the board itself; `checked` if
    everything is rendered and checked against the documents that it cites; `contributed` if somebody who has it says
    so.
    """
    from bistable.tools.board.catalogue import boards

    found = [
        board
        for board in boards()
        if (not flows or board.boot.flow in flows)
        and (not architectures or board.boot.architecture in architectures)
        and (not statuses or board.status in statuses)
    ]
    console.result(
        View(
            schema="board.list/1",
            document={"boards": [_document(board) for board in found]},
            lines=_table([_HEADINGS, *map(_row, found)]) if found else ["no boards"],
        )
    )


def _document(board: "Board") -> Mapping[str, Any]:
    return {
        "board": board.key,
        "name": board.name,
        "processor": board.soc,
        "boot_flow": board.boot.flow.value,
        "storage": board.storage.kind.value,
        "architecture": board.boot.architecture,
        "releases": [] if board.yocto is None else list(board.yocto.releases),
        "status": board.status.value,
        "qemu": board.qemu is not None,
        "page": board.page,
    }


def _row(board: "Board") -> tuple[str, ...]:
    return (
        board.key,
        board.soc,
        board.boot.flow.value,
        board.storage.kind.value,
        board.boot.architecture,
        "-" if board.yocto is None else ", ".join(board.yocto.releases),
        board.status.value,
    )


def _table(lines: Iterable[Sequence[str]]) -> list[str]:
    cells = [[clean(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [_GAP.join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
