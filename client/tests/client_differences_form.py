"""What a difference between our client and another one is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


def each(names: Iterable[str], *lines: str) -> dict[str, tuple[str, ...]]:
    """Return the same lines for several scenarios."""
    return dict.fromkeys(names, lines)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What both do, why ours is meant, and which lines of the comparison it explains in which scenario."""

    about: str
    theirs: str
    ours: str
    why: str
    lines: Mapping[str, tuple[str, ...]]
