"""The templates that boards are rendered from, and the words that all of their files begin with."""

import json
import shlex
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bistable.tools.board.catalogue import TEMPLATES, catalogue_folder

if TYPE_CHECKING:
    from jinja2 import Environment

HEADER: Final = "Rendered from board.toml by `bistable board render`; changes here are lost."

SUFFIX: Final = ".jinja"


def rendered(template: str, values: Mapping[str, Any]) -> bytes:
    """Return a file by its template; all values that it names have to be there."""
    return environment().get_template(f"{template}{SUFFIX}").render(header=HEADER, **values).encode()


def commented(content: bytes) -> bytes:
    """Return a file whose comments begin with `#`, with the words in front that say what it is made from."""
    return f"# {HEADER}\n".encode() + content


@cache
def environment() -> "Environment":
    """Return what reads templates: a name that they use and nobody gave is an error.

    Raises:
        RequestError: this installation has no templates.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(catalogue_folder() / TEMPLATES),
        # None of it is HTML that a browser runs; the page of a board is Markdown.
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"yaml": json.dumps, "toml": _for_toml, "shell": shlex.quote}
    return made


def _for_toml(value: str) -> str:
    # JSON's strings are TOML's.
    return json.dumps(value, ensure_ascii=False)
