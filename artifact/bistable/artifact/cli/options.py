"""Options that several commands share, and the types of their values."""

import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bistable.artifact.cli.framework import option
from bistable.artifact.cli.render import Console

F = TypeVar("F", bound=Callable[..., Any])

OUTPUT: Final = "Output"

_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", re.ASCII)
_UNITS: Final = {"": 1, "b": 1} | {
    letter + form: base**power
    for power, letter in enumerate("kmgt", start=1)
    for form, base in (("b", 1000), ("ib", 1024), ("", 1000))
}


def size(text: str) -> int:
    """Read a number of bytes: `5000000`, `5MB`, `1.5GiB`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise click.BadParameter(f"{text!r} is not a size; write 5000000, 5MB (million) or 5MiB (2^20)")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def pair(text: str) -> tuple[str, str]:
    """Read a key and a value, split at the first colon."""
    key, colon, value = text.partition(":")
    if not colon or not key:
        raise click.BadParameter(f"{text!r} is not of the form KEY:VALUE")
    return key, value


FILE: Final = click.Path(path_type=Path)
"""Any path; whether it is there and can be read is said by the library, with the right exit code."""


NAME: Final = click.Path(allow_dash=True)
"""What may be a path, an address or `-`: the shell completes paths, and nothing is checked here."""


def bundle(name: str, kind: type, options: Iterable[Callable[[F], F]]) -> Callable[[F], F]:
    """Give a function `options`, and hand their values over as one `kind` (a dataclass) named `name`."""
    names = [field.name for field in fields(kind)]

    def decorate(function: F) -> F:
        @wraps(function)
        def gather(*args: Any, **values: Any) -> Any:
            picked = {field: values.pop(field) for field in names}
            return function(*args, **values, **{name: kind(**picked)})

        decorated: Any = gather
        for declare in reversed(list(options)):
            decorated = declare(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def output_options(function: F) -> F:
    """Add --json and --no-progress, handed over as `console`."""
    return bundle(
        "console",
        Console,
        [
            option(
                "--json",
                "as_json",
                is_flag=True,
                help="Show the result as JSON on standard output, an error too (docs/reference/json.md).",
            ),
            option(
                "--no-progress",
                is_flag=True,
                help="Show no progress bar. There is none anyway unless standard error is a terminal.",
            ),
        ],
    )(function)


def artifact_argument(function: F) -> F:
    """Add the artifact to be read as the argument `artifact`."""
    return click.argument("artifact", type=NAME)(function)
