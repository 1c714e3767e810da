"""Values as TOML, with a comment behind them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_WIDTH: Final = 120
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")


def key_lines(name: str, value: Any, comment: str | None = None) -> Iterator[str]:
    """Yield the lines of one key; a list that is too long for one line has one for each item."""
    behind = "" if comment is None else f"  # {comment}"
    text = f"{key_text(name)} = {value_text(value)}"
    if not isinstance(value, list) or len(text) <= _WIDTH:
        yield text + behind
        return
    yield f"{key_text(name)} = [{behind}"
    yield from (f"    {value_text(item)}," for item in value)
    yield "]"


def value_text(value: Any) -> str:
    """Return a value in one line."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key_text(name)} = {value_text(inner)}' for name, inner in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    # JSON's strings, numbers and truths are TOML's.
    return json.dumps(value, ensure_ascii=False)


def key_text(name: str) -> str:
    """Return the name of a key or table, in quotes if need be."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)
