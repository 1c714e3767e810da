"""Parses the command line, runs one command, and turns whatever goes wrong into a message and an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from itertools import takewhile
from keyword import iskeyword
from pathlib import Path
from typing import Final, NoReturn, Protocol, cast

from bistable.artifact.errors import BistableError
from bistable.client.ctl import render
from bistable.client.errors import ClientError, UsageError
from bistable.client.version import VERSION

INTERNAL: Final = 70
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
"""As a shell reports a program that SIGPIPE ended."""

PROGRAM: Final = "bistablectl"
DEBUG_VARIABLE: Final = "BISTABLE_DEBUG"

COMMANDS: Final = {
    "install": "install an artifact from a file, standard input or an address",
    "commit": "keep an update that runs on trial",
    "rollback": "undo an update that is not permanent yet",
    "resume": "go on with an update that was held or interrupted",
    "recover": "after a boot: see to the update in progress, leaving it where it is held",
    "abort": "stop an update, and undo what it did",
    "check": "have the daemon ask the server for an update",
    "pause": "hold the update in progress at a point",
    "continue": "let an update go on that is held",
    "inhibit": "hold updates while a command runs",
    "watch": "show what happens, as it happens",
    "send-inventory": "have the daemon send the whole inventory",
    "status": "show what runs, and where an update is",
    "show": "show an artifact, and whether this device would take it",
    "provides": "show what this device provides",
    "history": "show the updates that ended",
    "inventory": "show what this device tells of itself",
    "doctor": "look for faults in how this device is set up",
    "support-bundle": "collect what helps others to find a fault",
    "adopt": "show what is, or would be, taken over from the Mender client",
    "config": "show the settings, and where they come from",
    "completion": "print what makes a shell complete this command",
}
"""Command -> what it does, in a few words. Each lives in a module of its own, which is loaded when it is used."""


class Command(Protocol):
    """What the module of a command has."""

    DESCRIPTION: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Do it, show the result, return the exit code."""
        ...


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"cannot run `{self.prog}`: {message}", hint=f"`{self.prog} --help` explains it")


def run(words: Sequence[str]) -> int:
    """Run a command line and return the exit code."""
    # What comes after -- is another command's.
    as_json = "--json" in takewhile("--".__ne__, words)
    try:
        options = parse(words)
        code = command_module(options.command).run(options)
        render.flush()
    except KeyboardInterrupt:
        with suppress(OSError):
            render.note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_output()
        return PIPE_CLOSED
    except render.OutputError as e:
        _abandon_output()
        render.show_error(f"cannot write the result: {e}", None)
        return ClientError.exit_code
    except BistableError as e:
        _show_failure(e, as_json=as_json)
        return e.exit_code if isinstance(e, ClientError) else ClientError.exit_code
    except Exception as e:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        what = f"cannot go on: internal error, {type(e).__name__}: {e}"
        hint = f"this is a fault of the program, please report it, with what {DEBUG_VARIABLE}=1 shows"
        _show_failure(ClientError(what, hint=hint), as_json=as_json)
        return INTERNAL
    return code


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; only the module of the command that is used is loaded.

    Raises:
        UsageError: it makes no sense.
    """
    if words and words[0] in COMMANDS:
        return _parse_command(words[0], words[1:])
    parser = _Parser(
        prog=PROGRAM,
        description="Install update artifacts on this device, and look at what it runs.",
        epilog="'bistablectl COMMAND --help' explains a command.",
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    if words and words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}:
        parser.error(f"options such as {words[0]} stand behind the command")
    for name, words_for_people in COMMANDS.items():
        commands.add_parser(name, help=words_for_people, add_help=False)
    parser.parse_args(words)
    raise UsageError(f"cannot run `{PROGRAM}`: a command is missing", hint=f"`{PROGRAM} --help` explains it")


def _parse_command(name: str, words: Sequence[str]) -> argparse.Namespace:
    """Parse what stands behind a command, which needs no parser for any other: they take longer than it may."""
    parser = _Parser(prog=f"{PROGRAM} {name}")
    fill(parser, name)
    parser.set_defaults(command=name)
    return parser.parse_args(words)


def fill(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the arguments of a command, and what all have in common, to its parser."""
    module = command_module(name)
    parser.description = module.DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    module.arguments(parser)
    common = parser.add_argument_group("options of all commands")
    common.add_argument("--json", action="store_true", help="write the result as JSON")
    common.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="use this configuration alone (TOML; mender.conf if it ends in .conf)",
    )
    common.add_argument("--log-level", choices=["debug", "info", "warning", "error"], help="how much to say on the way")
    common.add_argument("--no-progress", action="store_true", help="show no progress, even on a terminal")


def command_module(name: str) -> Command:
    """Return the module of a command; one whose name is a word of Python's own has a _ after it."""
    module = name.replace("-", "_") + ("_" if iskeyword(name) else "")
    return cast("Command", import_module(f"bistable.client.ctl.commands.{module}"))


class _ShowVersion(argparse.Action):
    """Shows the version."""

    def __call__(self, *_: object) -> NoReturn:
        render.show_text(f"bistablectl {VERSION}")
        raise SystemExit(0)


def _show_failure(error: BistableError, *, as_json: bool) -> None:
    code = error.code if isinstance(error, ClientError) else "artifact"
    if as_json:
        document = {"code": code, "what": error.what, "hint": error.hint, "exit_code": error.exit_code}
        with suppress(BrokenPipeError, render.OutputError):
            render.show_json("error/1", {"error": document})
    render.show_error(error.what, error.hint)


def _abandon_output() -> None:
    """Drop what standard output still holds: nobody takes it, and the interpreter would complain when it ends."""
    with suppress(OSError, ValueError):
        if sys.stdout.fileno() == 1:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
