"""Let loose on the reader: change artifacts, read them, and see that every promise holds.

    python artifact/tests/fuzz/fuzz_reader.py --seconds 60

With atheris installed, the reader's own branches guide it; without, the words that the oracle has for an outcome do.
Inputs that break a promise are written to --crashes, named after what happened; the exit status is 1 then.
"""

import argparse
import hashlib
import importlib.util
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

ROOT = Path(__file__).parents[3]
PEER_RATE = 0.2
"""Share of what was accepted that the peer is shown, too; starting it takes much longer than reading."""

HANG = 300.0
"""CPU seconds after which an input is taken for one that never ends."""

MEMORY_LIMIT = 1 << 30
"""Peak of the whole process; atheris and its corpus need a part of it."""


class Campaign:
    """What was tried and what came out."""

    def __init__(self, crashes: Path, seed: int, *, peer: bool) -> None:
        # Here, so that atheris sees the library being imported, by whichever of them.
        from fuzz import mutate, oracle, seeds

        self.mutate, self.max_size, self.corpus = mutate.mutate, mutate.MAX_SIZE, seeds.corpus
        self._oracle = oracle
        self.crashes_folder = crashes
        self._random = random.Random(seed)
        self._peer = peer and oracle.has_peer()
        self._signatures: set[str] = set()
        self.words: dict[str, int] = {}
        self.tried = self.accepted = self.asked = 0

    def run(self, data: bytes) -> bool:
        """Try one input and return whether its outcome was new."""
        self.tried += 1
        try:
            word, artifact = self._oracle.judge(data, signed=self._random.random() < 0.1)
            if artifact is not None:
                self.accepted += 1
                if self._peer and self._random.random() < PEER_RATE:
                    self.asked += 1
                    self._oracle.ask_peer(data, artifact)
            self._check_memory()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a find
            self._keep(data, error)
            word = "crash"
        self.words[word] = self.words.get(word, 0) + 1
        return self.words[word] == 1

    def _check_memory(self) -> None:
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MEMORY_LIMIT:
            raise self._oracle.Wrong("more than a gibibyte of memory")

    def _keep(self, data: bytes, error: Exception) -> None:
        trace, place = error.__traceback__, ""
        while trace is not None:
            place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
            trace = trace.tb_next
        signature = f"{type(error).__name__} {place}"
        if signature not in self._signatures:
            self._signatures.add(signature)
            self.crashes_folder.mkdir(parents=True, exist_ok=True)
            path = self.crashes_folder / f"{type(error).__name__}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            sys.stderr.write(f"fuzz: {signature}: {str(error)[:400]}\n  kept as {path}\n")

    @property
    def crashes(self) -> int:
        """How many different faults were found."""
        return len(self._signatures)

    def report(self, seconds: float) -> str:
        """Return a summary for people."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return (
            f"fuzz: {self.tried} inputs in {seconds:.0f} s ({self.tried / max(seconds, 1e-9):.0f}/s), "
            f"{self.accepted} accepted, {self.asked} shown to mender-artifact, {len(self.words)} kinds of outcome, "
            f"{self.crashes} faults, peak {peak} MiB\n"
        )


def run_alone(campaign: Campaign, seed: int, enough: Callable[[], bool]) -> None:
    """Go on from whatever had a new outcome."""
    rng = random.Random(seed)
    pool = campaign.corpus()
    with watchdog() as feed:
        for data in pool:
            feed()
            campaign.run(data)
        while not enough():
            data = campaign.mutate(rng.choice(pool), rng)
            feed()
            if campaign.run(data) and len(data) <= campaign.max_size // 4:
                pool.append(data)


@contextmanager
def watchdog() -> Iterator[Callable[[], object]]:
    """Give what has to be called from time to time, or else the work is interrupted; atheris has its own."""

    def bark(_number: int, _frame: object) -> None:
        raise TimeoutError(f"no end after {HANG} CPU seconds")

    before = signal.signal(signal.SIGVTALRM, bark)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, HANG)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def run_guided(campaign: Campaign, seed: int, seconds: int, folder: Path) -> None:
    """Let libFuzzer choose what to change further; it ends the process."""
    import atheris

    folder.mkdir(parents=True, exist_ok=True)
    campaign.crashes_folder.mkdir(parents=True, exist_ok=True)
    for data in campaign.corpus():
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    started = time.monotonic()

    def change(data: bytes, max_size: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.05:
            return bytes(atheris.Mutate(data, max_size))
        return campaign.mutate(data, rng)[:max_size]

    def one_input(data: bytes) -> None:
        campaign.run(data)
        if time.monotonic() - started >= seconds:
            finish(campaign, time.monotonic() - started)

    options = [f"-max_len={campaign.max_size // 4}", f"-seed={seed}"]
    options += ["-verbosity=0", "-timeout=600", "-rss_limit_mb=2048"]
    # libFuzzer keeps what is slow or large under names of its own, and a busy machine makes everything slow.
    options += [f"-artifact_prefix={campaign.crashes_folder}/", "-report_slow_units=600"]
    atheris.Setup([sys.argv[0], *options, str(folder)], one_input, custom_mutator=change)
    atheris.Fuzz()


def finish(campaign: Campaign, seconds: float) -> None:
    """Say what was done, and end with the status that fits."""
    sys.stderr.write(campaign.report(seconds))
    sys.stderr.flush()
    import os

    os._exit(1 if campaign.crashes else 0)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, default=1, help="start of the random numbers (default: 1)")
    parser.add_argument("--plain", action="store_true", help="do without atheris")
    parser.add_argument("--crashes", type=Path, default=ROOT / ".cache" / "fuzz" / "crashes", help="where finds go")
    parser.add_argument("--corpus", type=Path, default=ROOT / ".cache" / "fuzz" / "corpus", help="atheris's inputs")
    options = parser.parse_args()
    guided = not options.plain and importlib.util.find_spec("atheris") is not None
    if guided:
        import atheris

        with atheris.instrument_imports(include=["bistable.artifact"]):
            campaign = Campaign(options.crashes, options.seed, peer=True)
    else:
        campaign = Campaign(options.crashes, options.seed, peer=True)
    sys.stderr.write(f"fuzz: {options.seconds} s, seed {options.seed}, {'atheris' if guided else 'no atheris'}\n")
    started = time.monotonic()
    if guided:
        run_guided(campaign, options.seed, options.seconds, options.corpus)
    run_alone(campaign, options.seed, lambda: time.monotonic() - started >= options.seconds)
    finish(campaign, time.monotonic() - started)


if __name__ == "__main__":
    main()
