"""JSON from untrusted bytes, strictly; and back, compactly.

The three known readers disagree about duplicate keys, byte order marks, bytes after the value and deep nesting;
whatever they disagree about could mean one thing to a checker and another to a device, so it is refused.
FORMAT.md §5.1.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from bistable.artifact.errors import LimitError, RejectedError, Where, quoted
from bistable.artifact.limits import JSON_DEPTH, JSON_SIZE

# Possessive, and content with a string that has no end: hostile quotes must not make the search go back.
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def parse_object(data: bytes, *, member: str, limit: int = JSON_SIZE, depth: int = JSON_DEPTH) -> dict[str, Any]:
    """Parse the JSON object that `data` holds, all of it, and nothing else.

    Raises:
        LimitError: longer than `limit` bytes or nested deeper than `depth`.
        RejectedError: not exactly one JSON object in UTF-8, a key twice, NaN or infinity, a lone surrogate.
    """
    if len(data) > limit:
        raise LimitError(
            f"cannot read {member}: {len(data)} bytes of JSON, at most {limit} are allowed",
            where=Where(member=member),
            rule="json.size",
        )
    _check_depth(data, member, depth)
    value = _load(data, member)
    if not isinstance(value, dict):
        raise _rejected(member, "a JSON object is required", rule="json.kind")
    return value


def encode(value: Mapping[str, Any]) -> bytes:
    """Return compact UTF-8 JSON with the keys in the order given, without a newline."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def encode_sorted(value: Mapping[str, Any]) -> bytes:
    """Return compact UTF-8 JSON with sorted keys at every level, without a newline."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, sort_keys=True).encode()


def _check_depth(data: bytes, member: str, limit: int) -> None:
    """Count brackets outside strings, so that no parser ever recurses into a hostile depth."""
    level = 0
    for match in _STRUCTURE.finditer(data):
        token = match.group()
        if token in b"[{":
            level += 1
            if level > limit:
                raise LimitError(
                    f"cannot read {member}: JSON nested deeper than {limit} levels",
                    where=Where(member=member, offset=match.start()),
                    rule="json.depth",
                )
        elif token in b"]}":
            level -= 1


def _load(data: bytes, member: str) -> object:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise _rejected(member, f"not valid UTF-8 ({e.reason})", offset=e.start, rule="json.encoding") from e
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as e:
        offset = len(text[: e.pos].encode("utf-8", "replace"))
        rule = "json.trailing" if e.msg == "Extra data" else "json.syntax"
        what = "bytes after the JSON value" if e.msg == "Extra data" else f"not valid JSON: {e.msg}"
        raise _rejected(member, what, line=e.lineno, offset=offset, rule=rule) from e
    except _FaultError as e:
        raise _rejected(member, str(e), rule=e.rule) from e
    except UnicodeEncodeError as e:
        raise _rejected(member, "a string holds half a surrogate pair", rule="json.surrogate") from e
    except ValueError as e:  # an integer of thousands of digits
        raise _rejected(member, f"a number cannot be read: {e}", rule="json.number") from e
    return value


class _FaultError(Exception):
    """Carries a fault out of the callbacks of the JSON parser."""

    def __init__(self, what: str, rule: str) -> None:
        super().__init__(what)
        self.rule = rule


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _FaultError(f"the key {quoted(key)} stands twice in one object", "json.duplicate-key")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise _FaultError(f"{name} is not a JSON number", "json.number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _FaultError(f"the number {quoted(text)} is out of range", "json.number")
    return value


def _rejected(member: str, why: str, *, rule: str, line: int | None = None, offset: int | None = None) -> RejectedError:
    return RejectedError(
        f"cannot read {member}: {why}", where=Where(member=member, line=line, offset=offset), rule=rule
    )
