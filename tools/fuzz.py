#!/usr/bin/env python3
"""Let mutated artifacts loose on the reader, and see that it accepts or refuses them and does nothing else.

tools/fuzz.py                        one minute on every processor
tools/fuzz.py --seconds 3600         longer; --seed N makes a run that can be repeated
tools/fuzz.py FILE...                read these files, such as an input that was kept

Inputs are made from the artifacts in artifact/tests/vectors by changing bytes, tar blocks and header fields, members,
and what is inside compressed members, mostly with digests put right again so that the change is not just a wrong
digest. A fault is: any exception but those of the library, more than TIME_LIMIT seconds or MEMORY_LIMIT bytes, a sink
that is left hanging or keeps content with another digest, or a manifest accepted under a key that never signed it.
Inputs that show a fault are kept in build/fuzz; the exit code is 1 then.
"""

import argparse
import hashlib
import io
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from fuzzing.artifacts import split
from fuzzing.mutations import mutate

from bistable.artifact import BistableError, Policy, read_artifact, read_verifiers

ROOT: Final = Path(__file__).parents[1]
VECTORS: Final = ROOT / "artifact" / "tests" / "vectors"
KEPT: Final = ROOT / "build" / "fuzz"
KEYS: Final = ("rsa2048.pub", "rsa3072.pub", "ec256.pub")

TIME_LIMIT: Final = 20
MEMORY_LIMIT: Final = 2 << 30
"""Address space; libraries map much more than they use."""

ENOUGH: Final = 32 << 20
"""Payload bytes after which the sink gives up: a small input may rightly become gigabytes."""

SEED_SIZE: Final = 256 << 10


class Fault(Exception):  # noqa: N818 - what is looked for is called so
    """The reader did something that it must not do."""


class EnoughError(Exception):
    """Raised by the sink; the reader must let it pass."""


# --- the reader under test


@dataclass(slots=True)
class Recorder:
    """A sink that checks how it is treated."""

    open_name: str | None = None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    size: int = 0
    kept: list[str] = field(default_factory=list)

    def begin(self, name: str, size: int) -> None:
        if self.open_name is not None or size < 0 or "/" in name or name in {"", ".", ".."}:
            raise Fault(f"began {name!r} of {size} bytes, while {self.open_name!r} is open")
        self.open_name, self.digest = name, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        self.size += len(data)
        if self.size > ENOUGH:
            raise EnoughError

    def commit(self) -> None:
        if self.open_name is None:
            raise Fault("committed what was not begun")
        self.kept.append(self.digest.hexdigest())
        self.open_name = None

    def discard(self) -> None:
        self.open_name = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one input in one of several ways, and judges what happened."""

    policies: tuple[Policy, ...]
    signed: frozenset[str]
    """SHA-256 of the manifests that the keys have signed."""

    def judge(self, data: bytes, way: int) -> str:
        """Return what the reader made of `data`, `accepted` or the rule that it breaks; Fault if it misbehaved."""
        policy = self.policies[way % len(self.policies)]
        sink = Recorder()
        signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT)
        try:
            artifact = read_artifact(Pieces(data, 1 << (way % 17)), policy, sink)
        except BistableError as e:
            _check(sink.open_name is None, "the sink was left open by a refusal")
            return e.rule or type(e).__name__
        except EnoughError:
            return "enough"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        _check(sink.open_name is None, "the sink was left open")
        _check(sink.kept == [file.digest for file in artifact.files], "the sink kept other content than was reported")
        _check(set(sink.kept) <= set(artifact.head.payload_digests().values()), "content that is not listed was kept")
        _check(not policy.verifiers or artifact.head.manifest_digest in self.signed, "a manifest that nobody signed")
        return "accepted"


class Pieces:
    """A source that gives at most `size` bytes at once, as a socket does."""

    def __init__(self, data: bytes, size: int) -> None:
        self._file = io.BytesIO(data)
        self._size = size

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, self._size))


def _check(condition: bool, words: str) -> None:
    if not condition:
        raise Fault(words)


def _too_long(*_: object) -> NoReturn:
    raise Fault(f"took more than {TIME_LIMIT} seconds")


# --- running


def seeds() -> list[bytes]:
    """Return the artifacts to start from."""
    files = sorted((VECTORS / "corpus").rglob("*.mender"))
    return [file.read_bytes() for file in files if file.stat().st_size <= SEED_SIZE]


def make_reader(known: Sequence[bytes]) -> Reader:
    """Return the reader under test; the manifests of all given artifacts count as signed."""
    verifiers = [verifier for name in KEYS for verifier in read_verifiers(VECTORS / "keys" / name)]
    manifests = (member.body for data in known for member in split(data) if member.name == "manifest")
    policies = (Policy(), Policy(allow_augment=True), Policy(allow_augment=True), Policy(verifiers=verifiers))
    return Reader(policies, frozenset(hashlib.sha256(manifest).hexdigest() for manifest in manifests))


def work(seed: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """Mutate and read for `seconds`; return how often each outcome was met, and the faults."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    dice = random.Random(seed)
    start = seeds()
    reader = make_reader(start)
    start += 3 * [data for data in start if reader.judge(data, 1) == "accepted"]
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(faults) < 10:
        data = mutate(dice, start)
        outcomes[_attempt(reader, data, dice.randrange(1 << 16), faults)] += 1
    return outcomes, faults


def _attempt(reader: Reader, data: bytes, way: int, faults: list[str]) -> str:
    try:
        return reader.judge(data, way)
    except Exception:  # noqa: BLE001 - any exception is what is looked for
        KEPT.mkdir(parents=True, exist_ok=True)
        path = KEPT / f"{hashlib.sha256(data).hexdigest()[:16]}-{way}.mender"
        path.write_bytes(data)
        faults.append(f"{path.relative_to(ROOT)}\n{traceback.format_exc()}")
        return "fault"


def replay(paths: Sequence[Path]) -> Iterator[str]:
    """Read files in all ways, and yield what came of it."""
    reader = make_reader(seeds())
    for path in paths:
        outcomes = {reader.judge(path.read_bytes(), way) for way in range(4 * 17)}
        yield f"{path}: {', '.join(sorted(outcomes))}"


def main() -> int:
    """Run, report, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="read these, and mutate nothing")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="a number; without it every run is another")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if options.files:
        print(*replay(options.files), sep="\n")
        return 0
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    print(f"fuzz: {options.workers} workers for {options.seconds:g} s, --seed {seed}", flush=True)
    with ProcessPoolExecutor(options.workers) as pool:
        results = list(pool.map(work, range(seed, seed + options.workers), [options.seconds] * options.workers))
    outcomes = sum((found for found, _ in results), Counter[str]())
    faults = [fault for _, found in results for fault in found]
    rules = len(set(outcomes) - {"accepted", "enough", "fault"})
    print(
        f"fuzz: {outcomes.total()} inputs: {outcomes['accepted']} accepted, {rules} rules broken, {len(faults)} faults"
    )
    print(*faults, sep="\n", end="", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
