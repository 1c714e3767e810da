"""The `key=value` lines that programs print to tell attributes of the device; decides on bytes only."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

Value: TypeAlias = str | tuple[str, ...]
Attributes: TypeAlias = Mapping[str, Value]


def parse_lines(raw: bytes) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the pairs in the order of their lines, and the lines that are none; empty lines do not count."""
    pairs: list[tuple[str, str]] = []
    bad: list[str] = []
    for line in _lines(raw):
        key, sign, value = line.partition("=")
        if key and sign:
            pairs.append((key, value))
        elif line:
            bad.append(line)
    return pairs, bad


def _lines(raw: bytes) -> Iterator[str]:
    # Only a line feed ends a line (str.splitlines knows more ends), and a carriage return before it belongs to it.
    for line in raw.decode("utf-8", "replace").split("\n"):
        yield line.removesuffix("\r")


def gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """Return the values by key; a key that is there several times has a tuple of all its values."""
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return {key: found[0] if len(found) == 1 else tuple(found) for key, found in values.items()}
