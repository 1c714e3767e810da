"""From an exception to words and an exit code. FORMAT.md §13."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

import click

from bistable.artifact.cli.render import clean, failure, show_failure, show_traceback
from bistable.artifact.errors import (
    BistableError,
    KeyUnusableError,
    LimitError,
    MachineError,
    PolicyError,
    RejectedError,
    RequestError,
    SignatureError,
    UnsupportedError,
)

INTERNAL: Final = 70
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
"""As a shell reports a program that SIGPIPE ended."""

DEBUG_VARIABLE: Final = "BISTABLE_DEBUG"

KINDS: Final[tuple[tuple[type[BistableError], str], ...]] = (
    (RequestError, "request"),
    (LimitError, "limit"),
    (SignatureError, "signature"),
    (UnsupportedError, "unsupported"),
    (RejectedError, "rejected"),
    (KeyUnusableError, "key"),
    (PolicyError, "policy"),
    (MachineError, "machine"),
    (BistableError, "machine"),
)
"""What `kind` says in JSON, the special before the general."""


@contextmanager
def reported(arguments: Sequence[str]) -> Iterator[None]:
    """Turn whatever goes wrong inside into a message and an exit code; `arguments` tell whether JSON is wanted."""
    as_json = "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)
    try:
        yield
        sys.stdout.flush()
    except click.exceptions.Exit:
        raise
    except (click.Abort, KeyboardInterrupt, EOFError):
        with suppress(OSError):
            click.echo("interrupted", err=True)
        _exit(INTERRUPTED)
    except BrokenPipeError:
        _abandon_output()
        _exit(PIPE_CLOSED)
    except Exception as e:  # noqa: BLE001 - users get a message, never a traceback
        if os.environ.get(DEBUG_VARIABLE):
            show_traceback(e)
        _exit(_report(e, as_json=as_json))


def _report(error: Exception, *, as_json: bool) -> int:
    """Show an error and return the exit code."""
    if isinstance(error, BistableError):
        kind = next(kind for of_class, kind in KINDS if isinstance(error, of_class))
        code = error.exit_code
        said = failure(error.what, hint=error.hint, where=error.where, rule=error.rule, kind=kind, exit_code=code)
    elif isinstance(error, click.ClickException):
        code = RequestError.exit_code
        said = failure(_usage(error), hint=_usage_hint(error), kind="usage", exit_code=code)
    elif isinstance(error, OSError):
        code = MachineError.exit_code
        subject = f" {error.filename}" if error.filename else ""
        said = failure(f"cannot go on:{subject} {error.strerror or error}", kind="machine", exit_code=code)
        _abandon_output()
    else:
        code = INTERNAL
        said = failure(_internal(error), hint=_report_request(), kind="internal", exit_code=code)
    show_failure(*said, as_json=as_json)
    return code


def _usage(error: click.ClickException) -> str:
    text = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    subject = context.command_path if context is not None else "this"
    return f"cannot run `{subject}`: {text[:1].lower()}{text[1:]}"


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return None if context is None else f"`{context.command_path} --help` explains it"


def _internal(error: Exception) -> str:
    return clean(f"cannot go on: internal error, {type(error).__name__}: {error}")


def _report_request() -> str:
    from importlib.metadata import version
    from platform import python_version

    return (
        "this is a fault of the program, please report it: the command line, and what "
        f"{DEBUG_VARIABLE}=1 shows (bistable {version('bistable')}, Python {python_version()})"
    )


def _abandon_output() -> None:
    """Drop what standard output still holds: nobody takes it, and the interpreter would complain when it ends."""
    with suppress(OSError, ValueError):
        if sys.stdout.fileno() == 1:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _exit(code: int) -> NoReturn:
    raise click.exceptions.Exit(code)
