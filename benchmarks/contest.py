"""A rival and ours, run in turns, and what the numbers say."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from measure import Case, Report, Result, Run, run_once


@dataclass(frozen=True, slots=True)
class Target:
    """How many CPU seconds ours may take, as a part of what the rival takes."""

    rival: str
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One command; `before` puts everything back into the state in which it can be run, `extra` looks after it.

    `extra` returns CPU seconds and peak MiB of processes that the command does not start itself.
    """

    name: str
    command: Sequence[str | Path]
    before: Callable[[], None] = lambda: None
    extra: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)
    holds: Callable[[], bool] = lambda: True
    """Whether the target holds what it should, after a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Entries that are compared with `rival`; those of `context` have no target."""

    rival: Entry
    ours: Sequence[Entry] = field(default_factory=list)
    context: Sequence[Entry] = field(default_factory=list)
    target: Target | None = None
    most_mib: float | None = None
    most_seconds: float | None = None
    needs: str | None = None


def measure(contest: Contest, runs: int, report: Report) -> list[Result]:
    """Run all entries in turn, round after round; what fails once is not run again."""
    entries = [contest.rival, *contest.ours, *contest.context]
    results = [Result(case=Case(name=entry.name, command=[str(word) for word in entry.command])) for entry in entries]
    for _ in range(runs):
        for entry, result in zip(entries, results, strict=True):
            if result.failure is not None:
                continue
            try:
                run = _turn(entry)
            except (RuntimeError, OSError) as e:
                result.failure = " ".join(str(e).split())
                report(f"{entry.name}: {e}")
                continue
            result.runs.append(run)
            report(
                f"{entry.name}: {run.cpu:.2f} CPU s, {run.wall:.2f} s, {run.rss:.1f} MiB; "
                f"others {run.others:.0%}, load {run.load:.1f}"
            )
    return results


def _turn(entry: Entry) -> Run:
    """Run an entry once.

    `time` starts the command: a process begins with the peak of the one that started it, and this one's is larger.
    """
    entry.before()
    cpu_before, _ = entry.extra()
    with tempfile.NamedTemporaryFile("r") as told:
        command = ["/usr/bin/time", "-q", "-f", "%M", "-o", told.name, *map(str, entry.command)]
        run = run_once(Case(name=entry.name, command=command))
        peak = int(told.read()) / 1024
    cpu_after, extra_peak = entry.extra()
    if not entry.holds():
        raise RuntimeError("the target does not hold the image")
    return replace(run, cpu=run.cpu + cpu_after - cpu_before, rss=max(peak, extra_peak))


def verdict(contest: Contest, results: Sequence[Result]) -> list[list[str]]:
    """Return a table row for each entry, with the target and whether it is met."""
    rows = []
    rival = results[0]
    for number, result in enumerate(results):
        if result.failure is not None or not result.runs:
            rows.append([result.case.name, f"failed: {result.failure}"])
            continue
        wanted, met = _judged(contest, result, rival) if 0 < number <= len(contest.ours) else ("", "")
        rows.append(
            [
                result.case.name,
                f"{result.median('cpu'):.2f}",
                f"{result.median('wall'):.2f}",
                f"{result.median('rss'):.1f}",
                str(len(result.runs)),
                wanted,
                met,
            ]
        )
    return rows


def _judged(contest: Contest, result: Result, rival: Result) -> tuple[str, str]:
    """Return the targets in words, and for each whether it is met."""
    wanted: list[str] = []
    met: list[str] = []
    if contest.target is not None and rival.runs:
        factor = result.median("cpu") / rival.median("cpu")
        wanted.append(f"CPU {contest.target.most} times {contest.target.rival}")
        met.append(f"{'yes' if factor <= contest.target.most else 'NO'}: {factor:.2f}")
    if contest.most_mib is not None:
        wanted.append("40 MB")
        met.append("yes" if max(run.rss for run in result.runs) <= contest.most_mib else "NO")
    if contest.most_seconds is not None:
        # What others do to the clock of a loaded machine is no property of the command.
        wall = min(run.wall for run in result.runs)
        wanted.append(f"{contest.most_seconds} s")
        met.append(f"{'yes' if wall <= contest.most_seconds else 'NO'}: best {wall:.2f} s")
    return "; ".join(wanted), "; ".join(met)
