"""What a power cut can leave on a disk with a volatile write cache, told from a write log; every cut has a name.

| name                        | what is on the disk                                                                 |
|-----------------------------|-------------------------------------------------------------------------------------|
| `prefix 17`                 | what the first 17 requests wrote: a disk that keeps everything in order             |
| `prefix 17 torn 512`        | that, and the first 512 bytes of what the next one wrote                            |
| `flush 5 seed 3`            | all that was durable after the 5th flush, and some of what was written later        |
| `flush 5 seed 3 torn 4096`  | the same, and of some of the later writes only some pieces of 4096 bytes            |

The seed says where between this flush and the next the power went, and what survived. The names of the same log always
mean the same content.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Final, TypeAlias

from bistable.artifact.errors import RequestError
from bistable.qemu.picture import Picture
from bistable.qemu.writelog import Flag, Request, WriteLog

SECTOR: Final = 512
"""The smallest piece that a disk writes whole."""

BLOCK: Final = 4096
"""What newer disks write whole, and what file systems with blocks of this size count on."""

KEPT: Final = (0.1, 0.5, 0.9)
"""How likely a write survives, in turns: nearly nothing does, half, nearly everything."""

TORN: Final = 0.25
"""Which part of the writes is torn, where writes are torn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Bytes that were written, and where; `durable` if the disk had said that they are safe (FUA)."""

    start: int
    data: bytes
    durable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The first `count` requests are on the disk, and `torn` bytes of the next."""

    count: int
    torn: int = 0

    def __str__(self) -> str:
        return f"prefix {self.count}" + (f" torn {self.torn}" if self.torn else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Some of what was written after a flush is lost; `unit` is the size of the pieces of torn writes, 0 for none."""

    flush: int
    seed: int
    unit: int = 0

    def __str__(self) -> str:
        return f"flush {self.flush} seed {self.seed}" + (f" torn {self.unit}" if self.unit else "")


Cut: TypeAlias = Prefix | Loss

_NAME: Final = re.compile(r"(?:prefix (\d{1,9})|flush (\d{1,9}) seed (\d{1,9}))(?: torn (\d{1,9}))?", re.ASCII)


def parse_cut(name: str) -> Cut:
    """Return the cut of that name.

    Raises:
        RequestError: there cannot be one.
    """
    if (found := _NAME.fullmatch(name)) is None:
        raise RequestError(
            f"cannot make the cut {name!r}: no cut has such a name",
            hint="names look like 'prefix 17', 'prefix 17 torn 512', 'flush 5 seed 3', 'flush 5 seed 3 torn 4096'",
        )
    count, flush, seed, torn = (None if part is None else int(part) for part in found.groups())
    if count is not None:
        return Prefix(count=count, torn=torn or 0)
    assert flush is not None
    assert seed is not None
    return Loss(flush=flush, seed=seed, unit=torn or 0)


def surviving(writes: Sequence[Written], random: Random, unit: int) -> Iterator[Written]:
    """Yield what a disk that lost its power had taken out of the cache with `writes`, in their order.

    Which ones is chance, so the order in which the disk took them up does not matter; only of two writes to the same
    place, the earlier never replaces the later. With a `unit` some of them survive in pieces.
    """
    kept = random.choice(KEPT)
    for written in writes:
        if written.durable:
            yield written
        elif unit and len(written.data) > unit and random.random() < TORN:
            pieces = range(0, len(written.data), unit)
            # Pieces go in order with some disks, and in any order with others.
            whole = random.randrange(len(pieces)) if random.random() < 0.5 else None
            for number, at in enumerate(pieces):
                if (number < whole) if whole is not None else random.random() < kept:
                    yield Written(start=written.start + at, data=written.data[at : at + unit])
        elif random.random() < kept:
            yield written


class Playback:
    """Makes cuts of a log on a picture of the disk that was there when the log began.

    Cuts are quick to make in the order of the log; going back starts from the beginning.
    """

    def __init__(self, log: WriteLog, picture: Picture) -> None:
        self._log, self._picture = log, picture
        self._count = 0
        self.requests = log.requests
        self.flushes = flushes(self.requests)
        """How many requests are complete after each flush; the first stands for the beginning."""

    @contextmanager
    def at(self, cut: Cut) -> Iterator[Picture]:
        """Give the picture as the cut leaves it; only inside the block.

        Raises:
            RequestError: the log is shorter than the cut wants.
        """
        extra = self._torn(cut) if isinstance(cut, Prefix) else self._lost(cut)
        self._go_to(cut.count if isinstance(cut, Prefix) else self.flushes[cut.flush])
        with self._picture.tried() as picture:
            for written in extra:
                picture.write(written.start, written.data)
            yield picture

    def _torn(self, cut: Prefix) -> Sequence[Written]:
        if cut.count > len(self.requests) or (cut.torn and cut.count == len(self.requests)):
            raise self._too_far(cut)
        if not cut.torn:
            return ()
        request = self.requests[cut.count]
        return (Written(start=request.start, data=self._log.data(request)[: cut.torn]),)

    def _lost(self, cut: Loss) -> Sequence[Written]:
        if cut.flush >= len(self.flushes):
            raise self._too_far(cut)
        random = Random(str(cut))
        later = volatile(self.requests, self.flushes, cut.flush)
        if not later:
            return ()
        seen = [
            Written(start=request.start, data=self._log.data(request), durable=Flag.FUA in request.flags)
            for request in later[: random.randrange(len(later)) + 1]
        ]
        # The last one was never reported as complete, so that not even FUA makes it safe.
        seen[-1] = replace(seen[-1], durable=False)
        return [*surviving(seen, random, cut.unit)]

    def _go_to(self, count: int) -> None:
        if count < self._count:
            self._picture.reset()
            self._count = 0
        for request in self.requests[self._count : count]:
            if request.changes:
                self._picture.write(request.start, self._log.data(request))
        self._count = count

    def _too_far(self, cut: Cut) -> RequestError:
        length = f"{len(self.requests)} requests and {len(self.flushes) - 1} flushes"
        return RequestError(f"cannot make the cut '{cut}': the log has {length}")


def flushes(log: Sequence[Request]) -> tuple[int, ...]:
    """Return how many requests are durable after each flush; a flush that comes with data is done before that."""
    return (
        0,
        *(r.number if not r.changes else r.number - 1 for r in log if Flag.FLUSH in r.flags),
    )


def volatile(log: Sequence[Request], ends: Sequence[int], flush: int) -> Sequence[Request]:
    """Return the requests that change something after a flush and before the next one is complete."""
    end = ends[flush + 1] if flush + 1 < len(ends) else len(log)
    return [request for request in log[ends[flush] : end] if request.changes]


def distinct(playback: Playback, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, Picture]]:
    """Yield the cuts that leave a content which none before has left; each picture lasts until the next."""
    seen: set[int] = set()
    for cut in cuts:
        with playback.at(cut) as picture:
            if (content := picture.fingerprint()) not in seen:
                seen.add(content)
                yield cut, picture
