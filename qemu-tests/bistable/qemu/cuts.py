"""Which cuts of a log are worth a try: all prefixes, torn writes, and losses out of the write cache."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from bistable.qemu.crash import BLOCK, SECTOR, Cut, Loss, Prefix, flushes, volatile
from bistable.qemu.writelog import Request

UNITS: Final = (0, BLOCK, SECTOR)
"""How writes are torn in losses: not at all, by blocks, by sectors."""


def cuts_of(
    log: Sequence[Request], *, seed: int, losses: int, small: tuple[int, int], most_tears: int | None = None
) -> Iterator[Cut]:
    """Yield the cuts of a log in its order.

    Between two flushes there are `losses` of each kind, or fewer where fewer writes could be lost. A write inside
    `small`, (start, length) in bytes, is torn at every sector, or at `most_tears` of them; others at one.
    """
    ends = flushes(log)
    for number, end in enumerate((*ends[1:], len(log))):
        yield from _prefixes(log, ends[number], end, seed, small, most_tears)
        yield from _losses(len(volatile(log, ends, number)), number, seed, losses)
    yield Prefix(count=len(log))


def _prefixes(
    log: Sequence[Request], begin: int, end: int, seed: int, small: tuple[int, int], most_tears: int | None
) -> Iterator[Cut]:
    for request in log[begin:end]:
        if not request.changes:
            continue
        count = request.number - 1
        yield Prefix(count=count)
        tears = range(SECTOR, request.length, SECTOR)
        inside = small[0] <= request.start < small[0] + small[1]
        wanted = len(tears) if inside and most_tears is None else (most_tears or 1) if inside else 1
        random = Random(f"{seed} tears of {request.number}")
        for torn in sorted(random.sample(tears, min(wanted, len(tears)))):
            yield Prefix(count=count, torn=torn)


def _losses(writes: int, flush: int, seed: int, losses: int) -> Iterator[Cut]:
    # Of one write that is not torn there are two states, of n writes 2 to the n.
    several = min(losses, 2 ** min(writes, 20)) if writes else 0
    for unit in UNITS:
        for one in range(several if not unit else losses if writes else 0):
            yield Loss(flush=flush, seed=seed + one, unit=unit)
