"""Run commands as whole processes and take what the operating system says they used."""

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One command to measure. `output` is a file it makes; it is removed before every run."""

    name: str
    command: Sequence[str]
    output: Path | None = None
    runs: int = 5
    needs: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run used: seconds, and the peak memory of its largest process in MiB; and how quiet it was meanwhile.

    `others` is the share of all processors that everything else took; `load` the load average when it began.
    """

    cpu: float
    wall: float
    rss: float
    size: int
    others: float
    load: float


@dataclass(slots=True, kw_only=True)
class Result:
    """All counted runs of a case."""

    case: Case
    runs: list[Run] = field(default_factory=list)
    failure: str | None = None

    def median(self, what: str) -> float:
        """Return the median of `cpu`, `wall`, `rss` or `size`."""
        return float(statistics.median(getattr(run, what) for run in self.runs))


def run_once(case: Case) -> Run:
    """Run a command to its end; RuntimeError with its last words if it fails."""
    if case.output is not None:
        case.output.unlink(missing_ok=True)
    load, busy = os.getloadavg()[0], processor_seconds()
    start = time.perf_counter()
    process = subprocess.Popen(
        list(case.command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    words = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode}: {words.decode('utf-8', 'replace').strip()[-300:]}")
    size = case.output.stat().st_size if case.output is not None else 0
    cpu = usage.ru_utime + usage.ru_stime
    others = max(0.0, processor_seconds() - busy - cpu) / (wall * (os.cpu_count() or 1))
    return Run(cpu=cpu, wall=wall, rss=usage.ru_maxrss / 1024, size=size, others=others, load=load)


def processor_seconds() -> float:
    """Return how long the processors of this machine were not idle, all together, since it started."""
    with Path("/proc/stat").open() as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    idle, waiting = 3, 4
    return (sum(ticks) - ticks[idle] - ticks[waiting]) / os.sysconf("SC_CLK_TCK")


def run_group(cases: Sequence[Case], report: "Report") -> list[Result]:
    """Run all cases in turn, round after round, so that a machine that drifts drifts under all of them."""
    results = [Result(case=case) for case in cases]
    for number in range(max(case.runs for case in cases)):
        for result in results:
            if result.failure is not None or number >= result.case.runs:
                continue
            try:
                run = run_once(result.case)
            except (RuntimeError, OSError) as e:
                result.failure = str(e)
                report(f"{result.case.name}: {e}")
                continue
            result.runs.append(run)
            report(
                f"{result.case.name}: {run.cpu:.2f} CPU s, {run.wall:.2f} s, {run.rss:.0f} MiB; "
                f"others {run.others:.0%}, load {run.load:.1f}"
            )
    return results


class Report:
    """Says on stderr what goes on."""

    def __call__(self, text: str) -> None:
        """Write one line."""
        os.write(2, f"  {text}\n".encode())


def go_before_others() -> None:
    """Let this process and its children have the processors whenever they want them (as `chrt --rr 1`).

    On a machine that is used by others too, this is as near to a quiet one as it gets: they take what is left over.

    Raises:
        PermissionError: this needs root.
    """
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
