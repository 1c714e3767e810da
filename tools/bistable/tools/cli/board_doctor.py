"""`bistable board doctor`: what is set up wrong on a live device, and what to change in which file."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.render import Console, View, clean, count_text, message, styled
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from bistable.tools.board.model import Board
    from bistable.tools.bringup.doctor import Commands, Diagnosis, Finding

FOUND: Final = 1
"""Exit code if something was found."""

WAY: Final = "Way to the device (one of them)"
LINE: Final = "Serial line"
_COLOURS: Final = {"error": "red", "warning": "yellow"}


@command(
    "doctor",
    examples=[
        Example("Over the network", "bistable board doctor imx8mp-evk --ssh root@192.0.2.7"),
        Example("Over its serial line", "bistable board doctor ./acorn-2 --serial /dev/ttyUSB0"),
        Example("Over a serial line in another room, with a password", "bistable board doctor ./acorn-2 \\\n"
                "    --serial socket://lab-server:4001 --ask-password"),
        Example("Through labgrid", "bistable board doctor ./acorn-2 --labgrid acorn-2/rendered/labgrid.yaml"),
    ],
)  # fmt: skip
@option("--ssh", metavar="DESTINATION", section=WAY, help="A root shell over ssh, such as root@192.0.2.7.")
@option(
    "--serial",
    metavar="PORT",
    section=WAY,
    help="A shell on this serial port, or on a network address such as socket://lab:4001 or rfc2217://lab:4001.",
)
@option(
    "--labgrid", type=FILE, metavar="FILE", section=WAY, help="The target main of this environment file, which is on."
)
@option(
    "--ssh-option",
    "ssh_options",
    multiple=True,
    metavar="OPTION",
    section=WAY,
    help="An option for ssh's -o, such as Port=2222. May be repeated.",
)
@option("--speed", type=click.IntRange(min=1), metavar="BAUD", section=LINE, help="By default what board.toml says.")
@option("--user", metavar="NAME", section=LINE, help="Who logs in. By default whom board.toml says.")
@option("--ask-password", is_flag=True, section=LINE, help="Ask for the password of that user.")
@output_options
@click.argument("board", metavar="BOARD")
@click.pass_context
def doctor(
    ctx: click.Context,
    board: str,
    ssh: str | None,
    serial: str | None,
    labgrid: Path | None,
    ssh_options: Sequence[str],
    speed: int | None,
    user: str | None,
    ask_password: bool,
    console: Console,
) -> None:
    """Look at a live device, and say what is set up wrong and what to change in which file.

    BOARD is one that comes with Bistable, or a folder with a board.toml, or that file. What the device says is compared
    with what is rendered of the board. Nothing on the device is changed, but for one variable of its boot loader's
    environment that nothing else uses, which the client sets to see whether that works. The exit code is 1 if anything
    was found.
    """
    from bistable.tools.board.catalogue import find_board
    from bistable.tools.bringup.doctor import examine

    _check_way([ssh, serial, labgrid])
    if ssh is not None and (speed is not None or user is not None or ask_password):
        raise RequestError(
            "cannot use --speed, --user or --ask-password with --ssh: they are for serial lines",
            hint="the user is part of the destination, and ssh asks for a password by itself",
        )
    if ssh is None and ssh_options:
        raise RequestError("cannot use --ssh-option without --ssh")
    found = find_board(board)
    password = click.prompt("Password", hide_input=True, err=True) if ask_password else None
    with _reached(found, ssh, serial, labgrid, ssh_options, speed, user, password) as commands:
        diagnosis = examine(found, commands)
    console.result(_view(found, diagnosis))
    if diagnosis.findings:
        ctx.exit(FOUND)


def _check_way(ways: Sequence[object]) -> None:
    if sum(way is not None for way in ways) != 1:
        raise RequestError(
            "cannot examine a device without exactly one way to it", hint="give one of --ssh, --serial and --labgrid"
        )


def _reached(
    board: "Board",
    ssh: str | None,
    serial: str | None,
    labgrid: Path | None,
    ssh_options: Sequence[str],
    speed: int | None,
    user: str | None,
    password: str | None,
) -> "AbstractContextManager[Commands]":
    from bistable.tools.bench.reaching import over_labgrid, over_serial, over_ssh
    from bistable.tools.bench.shell import Login

    login = Login(user=user or board.console.user, password=password)
    if serial is not None:
        return over_serial(serial, speed or board.console.speed, login)
    if labgrid is not None:
        return over_labgrid(labgrid, login)
    assert ssh is not None
    return nullcontext(over_ssh(ssh, [word for option in ssh_options for word in ("-o", option)]))


def _view(board: "Board", diagnosis: "Diagnosis") -> View:
    counts = {level: sum(finding.level == level for finding in diagnosis.findings) for level in _COLOURS}
    said = ", ".join(count_text(count, level) for level, count in counts.items() if count)
    word, colour = (said, "red" if counts["error"] else "yellow") if said else ("nothing found", "green")
    seen = ", ".join(clean(text) for text in (diagnosis.model, f"kernel {diagnosis.kernel}") if text)
    return View(
        schema="board.doctor/1",
        document={
            "board": board.key,
            "model": diagnosis.model or None,
            "kernel": diagnosis.kernel or None,
            "errors": counts["error"],
            "warnings": counts["warning"],
            "findings": [_document(finding) for finding in diagnosis.findings],
        },
        lines=[
            f"{clean(board.key)}: {styled(word, fg=colour, bold=True)} on {seen}",
            *(line for finding in diagnosis.findings for line in ["", *_lines(finding)]),
        ],
    )


def _document(finding: "Finding") -> dict[str, Any]:
    return {
        "level": finding.level.value,
        "area": finding.area,
        "what": finding.what,
        "found": finding.found,
        "expected": finding.expected,
        "change": finding.change,
    }


def _lines(finding: "Finding") -> list[str]:
    head = styled(f"{finding.level.value}:", fg=_COLOURS[finding.level.value])
    details = [("is", finding.found), ("should be", finding.expected), ("change", finding.change)]
    return message(head, f"{finding.area}: {finding.what}", details)
