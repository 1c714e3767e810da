"""How devices match the patterns of `clears_artifact_provides`. FORMAT.md §5.6."""


def matches(pattern: str, key: str) -> bool:
    """Return whether `pattern` clears `key`: `*` is any run of characters, all else literal, the whole key counts."""
    first, *rest = pattern.split("*")
    if not rest:
        return key == pattern
    *middle, last = rest
    at, end = len(first), len(key) - len(last)
    if at > end or not key.startswith(first) or not key.endswith(last):
        return False
    for piece in middle:
        found = key.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def crashing_key(pattern: str) -> str | None:
    """Return a short stored key on which device clients from 4.0 on end with an exception, or None.

    They compare a key's last characters with the pattern's last piece without asking whether it has so many.
    """
    pieces = pattern.split("*")
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1 or len(first) >= len(last):
        return None
    return first + "x" * max(0, min(3, len(last) - 1) - len(first))
