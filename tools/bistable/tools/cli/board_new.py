"""`bistable board new`: a board of one's own, begun from the nearest one that is known."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.render import Console, View, clean, count_text, rows
from bistable.artifact.errors import RequestError
from bistable.tools.cli.boardchoices import ARCHITECTURES, FLOWS, STORAGES

if TYPE_CHECKING:
    from bistable.tools.board.check import Finding
    from bistable.tools.board.create import NewBoard, Wish
    from bistable.tools.board.model import Board

KNOWN: Final = "What is known of the board"
_QUESTIONS: Final[tuple[tuple[str, str, click.Choice[str] | None], ...]] = (
    ("name", "What is it called", None),
    ("soc", "Which processor has it", None),
    ("page", "Where is it described (https://...)", None),
    ("loader", "What chooses the slot", FLOWS),
    ("architecture", "Which architecture is it", ARCHITECTURES),
    ("storage", "What do the slots lie on", STORAGES),
)
_REQUIRED: Final = {"name": "--name", "soc": "--soc", "page": "--page"}
_NEAREST: Final = {"loader": "--loader", "architecture": "--architecture", "storage": "--storage"}


@command(
    "new",
    examples=[
        Example("Be asked for everything", "bistable board new ./acorn-2"),
        Example(
            "Begin with the board that has most in common",
            'bistable board new ./acorn-2 --name "Acorn 2" --soc "NXP i.MX 8M Plus" --page https://example.com/acorn-2 '
            "\\\n  --loader uboot --architecture arm64 --storage emmc --device /dev/mmcblk2 --console ttymxc1",
        ),
        Example(
            "Begin with a board of your choice",
            'bistable board new ./acorn-2 --from imx8mp-evk --name "Acorn 2" --soc "NXP i.MX 8M Plus" \\\n'
            "  --page https://example.com/acorn-2",
        ),
    ],
)
@option("--from", "base", metavar="BOARD", help="Begin with this board instead of the nearest one.")
@option("--name", metavar="TEXT", section=KNOWN, help="What it is called by those who sell it.")
@option("--soc", metavar="TEXT", section=KNOWN, help="Its processor.")
@option("--page", metavar="URL", section=KNOWN, help="Where it is described.")
@option("--loader", type=FLOWS, section=KNOWN, help="What chooses the slot.")
@option("--architecture", type=ARCHITECTURES, section=KNOWN, help="What the processor is.")
@option("--storage", type=STORAGES, section=KNOWN, help="What the slots lie on.")
@option("--device", metavar="NODE", section=KNOWN, help="The node of that in Linux, such as /dev/mmcblk0.")
@option("--capacity", metavar="SIZE", section=KNOWN, help='Its bytes, such as "7456 MiB".')
@option(
    "--console", "terminal", metavar="TTY[,SPEED]", section=KNOWN, help="The serial console; speed 115200 by default."
)
@option("--kernel", metavar="PATH", section=KNOWN, help="The kernel in the slot, such as /boot/Image.")
@option("--devicetree", metavar="PATH", section=KNOWN, help="The device tree in the slot.")
@option("--machine", metavar="NAME", section=KNOWN, help="MACHINE of OpenEmbedded.")
@option("--device-type", metavar="TYPE", section=KNOWN, help="By what artifacts know it; the folder's name by default.")
@output_options
@click.argument("folder", metavar="FOLDER", type=FILE)
def new(folder: Path, base: str | None, terminal: str | None, console: Console, **values: str | None) -> None:
    """Write a board.toml into FOLDER, whose name is that of the board, begun from the nearest board that is known.

    What was not said is taken from that board, and a comment behind it says so: look it up, and take the comment away.
    Sources and status are not taken. On a terminal, what is missing is asked for. Nothing is overwritten.
    """
    from bistable.tools.board.catalogue import boards, find_board
    from bistable.tools.board.check import check_board
    from bistable.tools.board.create import nearest, write_board

    begun = None if base is None else find_board(base)
    wish = _wish({**values, "console": terminal}, has_base=begun is not None, asks=_asks(console))
    begun = begun or nearest(wish, boards())
    if _asks(console):
        wish = _more(wish, begun)
    made = write_board(wish, begun, folder)
    console.result(_view(folder, made, begun, check_board(made.board)))


def _asks(console: Console) -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and not console.as_json


def _wish(values: Mapping[str, str | None], *, has_base: bool, asks: bool) -> "Wish":
    """Return what was said, and what was answered if there is somebody to ask."""
    from bistable.tools.board.create import Wish

    needed = _REQUIRED if has_base else _REQUIRED | _NEAREST
    missing = [name for name in needed if values[name] is None]
    if missing and not asks:
        raise RequestError(
            f"cannot make a board without {', '.join(needed[name] for name in missing)}",
            hint="on a terminal it is asked for" + ("" if has_base else "; --from names a board that has most of it"),
        )
    answers = {
        name: click.prompt(words, type=choice, err=True) for name, words, choice in _QUESTIONS if name in missing
    }
    speed = (values["console"] or "").partition(",")[2]
    if speed and not (speed.isascii() and speed.isdigit() and len(speed) < 8):
        raise RequestError(f"cannot make a board: {speed!r} is no speed of a console", hint="--console ttyS2,1500000")
    return Wish(**(dict(values) | answers))  # type: ignore[arg-type]


def _more(wish: "Wish", begun: "Board") -> "Wish":
    """Return what is answered beside; the answer that is offered stays a guess, which has to be looked up."""
    offered = {
        "device": ("What is its storage called in Linux", begun.storage.device),
        "console": ("What is its serial console", f"{begun.console.device},{begun.console.speed}"),
        "machine": ("What is MACHINE of OpenEmbedded", "" if begun.yocto is None else begun.yocto.machine),
    }
    answers = {
        name: click.prompt(words, default=default, err=True)
        for name, (words, default) in offered.items()
        if getattr(wish, name) is None and default
    }
    return replace(wish, **{name: answer for name, answer in answers.items() if answer != offered[name][1]})


def _view(folder: Path, made: "NewBoard", begun: "Board", findings: "tuple[Finding, ...]") -> View:
    board = made.board
    name = clean(str(folder) if "/" in str(folder) else f"./{folder}")
    counts = {level: sum(finding.level == level for finding in findings) for level in ("error", "warning")}
    return View(
        schema="board.new/1",
        document={
            "board": board.key,
            "file": board.text.origin,
            "from": begun.key,
            "unproved": made.unproved,
            "errors": counts["error"],
            "warnings": counts["warning"],
        },
        lines=[
            f"wrote {clean(board.text.origin)}, begun from {begun.key}",
            *rows(
                [
                    ("look up", f"{count_text(made.unproved, 'value')} with a comment behind it that ends in `check`"),
                    (
                        "then",
                        [f"`bistable board check {name}`: now {_said(counts)}", f"`bistable board render {name}`"],
                    ),
                    ("how", "docs/how-to/contribute-a-board.md"),
                ],
                indent="  ",
            ),
        ],
    )


def _said(counts: Mapping[str, Any]) -> str:
    return ", ".join(count_text(count, what) for what, count in counts.items())
