"""`bistable board check`: whether what a board says fits together."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.render import Console, View, clean, count_text, message, styled
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from bistable.tools.board.check import Finding
    from bistable.tools.board.model import Board

FOUND: Final = 1
"""Exit code if there are errors (FORMAT.md §13)."""

_COLOURS: Final = {"error": "red", "warning": "yellow"}


@command(
    "check",
    examples=[
        Example("Check a board of yours", "bistable board check ./acorn-2"),
        Example(
            "Look whether kernel and device tree are in its root file system, and whether that fits into a slot",
            "bistable board check ./acorn-2 --root rootfs.tar.zst",
        ),
        Example(
            "See whether its U-Boot has what the boot script needs",
            "bistable board check ./acorn-2 --uboot-config u-boot/.config",
        ),
        Example("Check all boards that come with Bistable", "bistable board check"),
    ],
)
@option(
    "--root",
    type=FILE,
    metavar="PATH",
    help="The root file system of the slots: a directory, a tar file, or an ext4, squashfs or erofs image.",
)
@option(
    "--uboot-config",
    type=FILE,
    metavar="FILE",
    help="The configuration of the board's U-Boot: the .config of a build; or a defconfig, which lacks the defaults.",
)
@output_options
@click.argument("boards", metavar="[BOARD]...", nargs=-1)
@click.pass_context
def check(
    ctx: click.Context, boards: Sequence[str], root: Path | None, uboot_config: Path | None, console: Console
) -> None:
    """Say what in a board does not fit together, in which line, and what would be right.

    BOARD is one that comes with Bistable, or a folder with a board.toml, or that file; by default all that come with
    Bistable. An error does not work; a warning needs somebody who looks. The exit code is 1 if there are errors.
    Nothing is built and nothing is started. What is checked: docs/reference/board.md.
    """
    from bistable.tools.board.catalogue import board_keys, find_board
    from bistable.tools.board.check import check_board, open_root

    names = boards or board_keys()
    if len(names) != 1 and (root is not None or uboot_config is not None):
        raise RequestError(
            f"cannot check {len(names)} boards against one root file system or configuration", hint="name one board"
        )
    with ExitStack() as stack:
        tree = None if root is None else stack.enter_context(open_root(root))
        text = None if uboot_config is None else _text(uboot_config)
        found = [(board, check_board(board, root=tree, uboot_config=text)) for board in map(find_board, names)]
    console.result(_view(found))
    if any(finding.level == "error" for _, findings in found for finding in findings):
        ctx.exit(FOUND)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise RequestError(f"cannot read {file}: {e.strerror}") from e


def _view(found: "Sequence[tuple[Board, Sequence[Finding]]]") -> View:
    return View(
        schema="board.check/1",
        document={"boards": [_document(board, findings) for board, findings in found]},
        lines=[line for board, findings in found for line in _lines(board, findings)],
    )


def _document(board: "Board", findings: "Sequence[Finding]") -> Mapping[str, Any]:
    counts = _counts(findings)
    return {
        "board": board.key,
        "file": board.text.origin,
        "fits": not counts["error"],
        "errors": counts["error"],
        "warnings": counts["warning"],
        "findings": [
            {
                "level": finding.level.value,
                "where": finding.where,
                "line": finding.line,
                "what": finding.what,
                "hint": finding.hint,
            }
            for finding in findings
        ],
    }


def _lines(board: "Board", findings: "Sequence[Finding]") -> list[str]:
    counts = _counts(findings)
    word, colour = ("does not fit", "red") if counts["error"] else ("fits", "green")
    said = ", ".join(count_text(count, what) for what, count in counts.items() if count)
    lines = [f"{clean(board.key)}: {styled(word, fg=colour, bold=True)}" + (f": {said}" if said else "")]
    for finding in findings:
        head = styled(f"{finding.level.value}:", fg=_COLOURS[finding.level.value])
        at = "" if finding.line is None else f", line {finding.line}"
        lines += message(head, finding.what, [("where", f"{finding.where}{at}"), ("hint", finding.hint)])
    return lines


def _counts(findings: "Sequence[Finding]") -> dict[str, int]:
    return {level: sum(finding.level == level for finding in findings) for level in ("error", "warning")}
