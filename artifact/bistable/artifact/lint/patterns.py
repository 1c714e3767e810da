"""How devices match the patterns of `clears_artifact_provides`. FORMAT.md §5.6."""

import re


def matches(pattern: str, key: str) -> bool:
    """Return whether `pattern` clears `key`: `*` is any run of characters, all else literal, the whole key counts."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), key, re.DOTALL) is not None


def crashing_key(pattern: str) -> str | None:
    """Return a short stored key on which device clients from 4.0 on end with an exception, or None.

    They compare a key's last characters with the pattern's last piece without asking whether it has so many.
    """
    pieces = pattern.split("*")
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1 or len(first) >= len(last):
        return None
    return first + "x" * max(0, min(3, len(last) - 1) - len(first))
