"""Cut the power of recorded updates everywhere: check all cuts without a boot, and boot a sample.

    python -m bistable.qemu.sweep [--output DIR] [--machines ...] [--scenarios ...] [--seed N] [--losses N] [--boots N]

With the same directory it goes on where it was interrupted. With --cut one cut is made and booted again by its name.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bistable.artifact.errors import BistableError
from bistable.artifact.files import replacing
from bistable.qemu.crash import parse_cut
from bistable.qemu.kinds import Kind
from bistable.qemu.recording import Recording, Scenario, record
from bistable.qemu.stage import prepare
from bistable.qemu.survey import Film, Judged, choose
from bistable.qemu.trial import Depth, Outcome, boot_cut

FOLDER: Final = Path("build", "cuts")
MACHINES: Final = (Kind.X86_64_GRUB, Kind.ARM64_UBOOT)
REPEATED: Final = 8
"""Of so many boots, one repeats the update; of half as many, the client recovers in one."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be swept."""

    output: Path
    machines: Sequence[Kind]
    scenarios: Sequence[Scenario]
    seed: int
    losses: int
    boots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What came of one recording."""

    machine: str
    scenario: str
    requests: int
    flushes: int
    cuts: int
    """Those that leave a disk which no recording of the same machine, before this one in the list, has left."""
    seconds: float
    findings: Mapping[str, int]
    """What the checker found -> at how many cuts."""
    boots: int
    recovered: int
    repeated: int
    bad_boots: Mapping[str, Sequence[str]]
    """Cut -> what was wrong when it was booted."""


def sweep(wish: Wish, say: Say) -> tuple[Swept, ...]:
    """Sweep; what was done in the same directory before is taken as it is.

    Raises:
        BistableError: an update cannot be recorded, or something that this needs is missing.
    """
    wish.output.mkdir(parents=True, exist_ok=True)
    pairs = [(machine, scenario) for machine in wish.machines for scenario in wish.scenarios]
    checked = []
    for machine, scenario in pairs:
        say(f"{machine}, {scenario}: recording")
        recording = record(prepare(machine), scenario)
        with Film(recording) as film:
            checked.append((recording, *_judged(film, wish, say)))
    share, more = divmod(wish.boots, len(pairs))
    for number, (recording, judged, _) in enumerate(checked):
        with Film(recording) as film:
            _boot_some(film, judged, wish, share + (number < more), say)
    known: dict[str, set[str]] = defaultdict(set)
    return tuple(_swept(*one, wish, known[one[0].stage.name]) for one in checked)


def _boot_some(film: Film, judged: Sequence[Judged], wish: Wish, count: int, say: Say) -> None:
    """Boot a sample of the cuts, except those that were booted before, and write down what came of each."""
    done = _boots_file(film.recording, wish)
    known = _known(done)
    cuts = choose(film, judged, count, wish.seed)
    for number, cut in enumerate(cuts, 1):
        if cut in known:
            continue
        say(f"{_title(film.recording)}: boot {number} of {count}, {cut}")
        depth = _depth(number)
        line = {"cut": cut, "depth": depth, **asdict(_boot(film, cut, depth))}
        with done.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _swept(recording: Recording, judged: Sequence[Judged], seconds: float, wish: Wish, before: set[str]) -> Swept:
    contents = {one.content for one in judged} - before
    before |= contents
    known = _known(_boots_file(recording, wish))
    with recording.log() as log:
        requests = log.requests
    return Swept(
        machine=recording.stage.kind.value,
        scenario=recording.scenario.value,
        requests=len(requests),
        flushes=sum(not request.changes for request in requests),
        cuts=len(contents),
        seconds=round(seconds, 1),
        findings=Counter(finding for one in judged for finding in one.findings),
        boots=len(known),
        recovered=sum(line["depth"] >= Depth.RECOVER for line in known.values()),
        repeated=sum(line["depth"] >= Depth.REPEAT for line in known.values()),
        bad_boots={cut: bad for cut, line in known.items() if (bad := [*line["differences"], *line["faults"]])},
    )


def _title(recording: Recording) -> str:
    return f"{recording.stage.kind}, {recording.scenario}"


def _judged(film: Film, wish: Wish, say: Say) -> tuple[list[Judged], float]:
    """Return what the checker says of all cuts, and how long that took; read again if it was said before."""
    path = _named(film.recording, wish, "checked", f"{wish.seed}-{wish.losses}")
    if path.exists():
        document = json.loads(path.read_bytes())
        return [Judged(**{**one, "findings": tuple(one["findings"])}) for one in document["cuts"]], document["seconds"]
    began = time.monotonic()

    def progress(number: int) -> None:
        if number % 100 == 0:
            say(f"{_title(film.recording)}: {number} cuts checked, {number / (time.monotonic() - began):.0f} a second")

    judged = list(film.survey(seed=wish.seed, losses=wish.losses, on_progress=progress))
    seconds = time.monotonic() - began
    with replacing(path) as file:
        file.write(json.dumps({"seconds": seconds, "cuts": [asdict(one) for one in judged]}).encode())
    return judged, seconds


def _depth(number: int) -> Depth:
    if number % REPEATED == 0:
        return Depth.REPEAT
    return Depth.LOOK if number % (REPEATED // 2) else Depth.RECOVER


def _boot(film: Film, cut: str, depth: Depth) -> Outcome:
    stage = film.recording.stage
    with tempfile.TemporaryDirectory(prefix="bistable-") as scratch:
        image = Path(scratch, "disk.img")
        with film.at(parse_cut(cut)) as picture:
            verdict = film.checker.check(picture)
            picture.save(image)
        return boot_cut(stage, image, verdict, Path(scratch), depth)


def _boots_file(recording: Recording, wish: Wish) -> Path:
    return _named(recording, wish, "booted", str(wish.seed))


def _named(recording: Recording, wish: Wish, what: str, how: str) -> Path:
    # The recording's own name stands for all sources that it depends on.
    stem = f"{recording.stage.kind}-{recording.scenario}-{recording.folder.name[:8]}"
    return wish.output / f"{stem}-{what}-{how}.json"


def _known(path: Path) -> dict[str, dict[str, Any]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return {line["cut"]: line for line in map(json.loads, lines)}


def summary(found: Iterable[Swept]) -> dict[str, Any]:
    """Return the numbers of all recordings together, and each."""
    each = list(found)
    return {
        "schema": "bistable.qemu.sweep/1",
        "cuts": sum(one.cuts for one in each),
        "cuts_with_findings": sum(sum(one.findings.values()) for one in each),
        "boots": sum(one.boots for one in each),
        "bad_boots": sum(len(one.bad_boots) for one in each),
        "recordings": [asdict(one) for one in each],
    }


def as_text(result: Mapping[str, Any]) -> str:
    """Return the summary for people."""
    lines = [f"{'machine':14} {'scenario':9} {'requests':>8} {'cuts':>6} {'found':>6} {'booted':>6} {'bad':>4}"]
    for one in result["recordings"]:
        lines.append(
            f"{one['machine']:14} {one['scenario']:9} {one['requests']:8} {one['cuts']:6} "
            f"{sum(one['findings'].values()):6} {one['boots']:6} {len(one['bad_boots']):4}"
        )
        lines += [f"    {count} x {words}" for words, count in one["findings"].items()]
        lines += [f"    {cut}: {'; '.join(bad)}" for cut, bad in one["bad_boots"].items()]
    lines.append(
        f"{result['cuts']} distinct cuts, {result['cuts_with_findings']} findings; "
        f"{result['boots']} booted, {result['bad_boots']} bad"
    )
    return "\n".join(lines)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bistable.qemu.sweep", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--output", type=Path, default=FOLDER, metavar="DIR", help=f"where the results are kept ({FOLDER})"
    )
    parser.add_argument("--machines", nargs="+", type=Kind, default=MACHINES, metavar="KIND", help="kinds of machines")
    parser.add_argument("--scenarios", nargs="+", type=Scenario, default=tuple(Scenario), metavar="NAME")
    parser.add_argument("--seed", type=int, default=1, help="chooses what is lost, and what is booted")
    parser.add_argument("--losses", type=int, default=4, help="cuts of each kind between two flushes")
    parser.add_argument("--boots", type=int, default=64, help="how many cuts are really booted")
    parser.add_argument("--cut", metavar="NAME", help="only make this cut, of one machine and scenario, and boot it")
    parser.add_argument("--json", action="store_true", help="write the summary as JSON")
    return parser.parse_args(words)


def _one_cut(options: argparse.Namespace, say: Say) -> int:
    recording = record(prepare(options.machines[0]), options.scenarios[0])
    with Film(recording) as film:
        verdict = film.verdict(parse_cut(options.cut))
        say(f"foretold: {verdict.path}, {verdict.running}, {[finding.words for finding in verdict.findings]}")
        outcome = _boot(film, options.cut, Depth.REPEAT)
    say(f"booted: {outcome}")
    return 0 if outcome.sound and verdict.sound else 1


def main(words: Sequence[str] | None = None) -> int:
    """Sweep as the command line says; the exit status is 1 if anything was found."""
    options = _arguments(words)
    # Otherwise the machine would live on.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.0f} s  {text}", file=sys.stderr, flush=True)  # noqa: T201

    try:
        if options.cut is not None:
            return _one_cut(options, say)
        wish = Wish(
            output=options.output,
            machines=options.machines,
            scenarios=options.scenarios,
            seed=options.seed,
            losses=options.losses,
            boots=options.boots,
        )
        result = summary(sweep(wish, say))
    except BistableError as e:
        say(f"error: {e}" + (f"\n{e.hint}" if e.hint else ""))
        return e.exit_code
    with replacing(options.output / "summary.json") as file:
        file.write(json.dumps(result, indent=2).encode() + b"\n")
    print(json.dumps(result, indent=2) if options.json else as_text(result))  # noqa: T201
    return 1 if result["cuts_with_findings"] or result["bad_boots"] else 0


if __name__ == "__main__":
    sys.exit(main())
