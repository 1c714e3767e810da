"""JSON as existing modules find it in their tree: as Go's encoding/json indents it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_ESCAPED: Final = re.compile('["\\\\<>&\u2028\u2029\x00-\x1f]')
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SMALL: Final = 1e-6
_LARGE: Final = 1e21
"""Below the one and from the other on Go writes a number with an exponent."""


def encode_indented(value: Mapping[str, Any] | None) -> bytes:
    """Return the JSON of `value`, indented by two blanks, keys in the order given, without a newline at the end."""
    return _encode(value, "").encode()


def sort_keys(value: Any) -> Any:
    """Return `value` with the keys of all objects sorted by their UTF-8 bytes."""
    if isinstance(value, dict):
        return {key: sort_keys(value[key]) for key in sorted(value, key=str.encode)}
    return [sort_keys(item) for item in value] if isinstance(value, list) else value


def _encode(value: Any, indent: str) -> str:
    inner = indent + "  "
    match value:
        case str():
            return _text(value)
        case float():
            return _number(value)
        case Mapping():
            return _block("{}", [f"{_text(key)}: {_encode(item, inner)}" for key, item in value.items()], indent)
        case Sequence():
            return _block("[]", [_encode(item, inner) for item in value], indent)
        case _:  # None, true, false, and whole numbers, which Go rounds to 53 bits: a client that does not is better
            return json.dumps(value)


def _block(brackets: str, items: Sequence[str], indent: str) -> str:
    if not items:
        return brackets
    lines = f",\n{indent}  ".join(items)
    return f"{brackets[0]}\n{indent}  {lines}\n{indent}{brackets[1]}"


def _text(value: str) -> str:
    return '"' + _ESCAPED.sub(lambda match: _SHORT.get(match[0], f"\\u{ord(match[0]):04x}"), value) + '"'


def _number(value: float) -> str:
    """Go writes the same shortest digits as Python, but uses an exponent less often."""
    if value != 0 and not _SMALL <= abs(value) < _LARGE:
        return repr(value).replace("e-0", "e-")
    from decimal import Decimal

    return format(Decimal(repr(value)), "f").removesuffix(".0")
