"""Check every cut of a recording without a boot, and choose those that are worth a real one."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Self

from bistable.qemu.checker import Verdict
from bistable.qemu.crash import Cut, Loss, Playback, Prefix, distinct, parse_cut
from bistable.qemu.cuts import cuts_of
from bistable.qemu.gpt import Partition, read_gpt
from bistable.qemu.picture import Picture
from bistable.qemu.recording import Recording

OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A cut, and in short what the checker said of it; `content` is the fingerprint of the disk, in hexadecimal."""

    cut: str
    content: str
    path: str
    running: str | None
    artifact: str | None
    update: str | None
    """The state in which the client's update goes on after the next boot; None: there is none."""
    findings: tuple[str, ...]


class Film:
    """A recording that can be stopped at any cut; a context manager."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def __enter__(self) -> Self:
        stage = self.recording.stage
        self._log = self.recording.log()
        self.requests = self._log.requests
        self.checker = stage.checker()
        with Picture(stage.disk, {}) as plain:
            self._picture = Picture(stage.disk, self.checker.regions(plain.size))
            self.partitions = read_gpt(plain.read, plain.size)
        self._playback = Playback(self._log, self._picture)
        with self.at(Prefix(count=0)) as picture:
            # What nobody may write to is what it was before the first write.
            self.checker.check(picture)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()
        self._picture.close()

    @property
    def environment(self) -> Partition:
        """Return the partition of the boot loader's environment."""
        place = self.recording.stage.plan.environment
        assert place is not None
        return next(partition for partition in self.partitions if partition.number == place.partition)

    @contextmanager
    def at(self, cut: Cut) -> Iterator[Picture]:
        """Give the disk as the cut leaves it; only inside the block."""
        with self._playback.at(cut) as picture:
            yield picture

    def verdict(self, cut: Cut) -> Verdict:
        """Return what the checker says of a cut."""
        with self.at(cut) as picture:
            return self.checker.check(picture)

    def survey(
        self, *, seed: int, losses: int, most_tears: int | None = None, on_progress: OnProgress = lambda _: None
    ) -> Iterator[Judged]:
        """Yield what the checker says of all distinct cuts; see `cuts_of`. Each is reported by its number."""
        place = self.environment
        cuts = cuts_of(self.requests, seed=seed, losses=losses, small=(place.start, place.size), most_tears=most_tears)
        for number, (cut, picture) in enumerate(distinct(self._playback, cuts), 1):
            verdict = self.checker.check(picture)
            on_progress(number)
            yield _judged(cut, picture, verdict)

    def around_environment(self) -> Iterator[Prefix]:
        """Yield the cuts right before, inside and right after each write to the boot loader's environment."""
        place = self.environment
        for request in self.requests:
            if request.changes and place.start <= request.start < place.start + place.size:
                yield Prefix(count=request.number - 1)
                yield Prefix(count=request.number - 1, torn=512)
                yield Prefix(count=request.number)


def _judged(cut: Cut, picture: Picture, verdict: Verdict) -> Judged:
    state = None if verdict.running is None else verdict.client.continues_in(verdict.running.slot)
    return Judged(
        cut=str(cut),
        content=f"{picture.fingerprint():032x}",
        path=verdict.path,
        running=None if verdict.running is None else verdict.running.slot,
        artifact=None if verdict.running is None else verdict.running.artifact,
        update=None if state is None else state.value,
        findings=tuple(f"{finding.kind}: {finding.words}" for finding in verdict.findings),
    )


def choose(film: Film, judged: Sequence[Judged], count: int, seed: int) -> list[str]:
    """Return the names of at most `count` cuts: around the environment's writes, then one after the other of each kind.

    Of one kind are cuts after which the same boots, in the same state of the update, and which are made alike.
    """
    random = Random(f"choose {seed}")
    known = {one.cut for one in judged}
    around = [str(cut) for cut in film.around_environment() if str(cut) in known]
    kinds: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for one in judged:
        kinds[one.path, one.update, bool(one.findings), _made(one.cut)].append(one.cut)
    for names in kinds.values():
        random.shuffle(names)
    order = sorted(kinds.values(), key=len)
    rounds = [names[turn] for turn in range(max(map(len, order), default=0)) for names in order if turn < len(names)]
    half = around if len(around) <= count // 2 else sorted(random.sample(around, count // 2), key=around.index)
    return list(dict.fromkeys([*half, *rounds]))[:count]


def _made(name: str) -> tuple[str, int]:
    cut = parse_cut(name)
    return ("flush", cut.unit) if isinstance(cut, Loss) else ("prefix", min(cut.torn, 1))
