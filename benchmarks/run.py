"""Measure Bistable beside its peers, in one run, on a 1 GiB ext4 image of a real Debian root file system.

python benchmarks/run.py                 all but the slow groups; the table goes to docs/reference/benchmarks.md
python benchmarks/run.py --all           with xz, 10 GiB inputs, RAUC and SWUpdate
python benchmarks/run.py --group write   one group, table on stdout only
python benchmarks/run.py --page          the page from what was measured last
"""

import argparse
import compileall
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cases import (
    Place,
    change_cases,
    memory_cases,
    memory_verify_cases,
    peer_cases,
    slow_peer_cases,
    slow_write_cases,
    small_cases,
    verify_cases,
    write_cases,
)
from measure import Case, Report, Result, go_before_others, run_group
from targets import target_table

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/reference/benchmarks.md"
TEXT = HERE / "page.txt"
GROUPS: dict[str, Callable[[Place], list[Case]]] = {
    "write": write_cases,
    "xz": slow_write_cases,
    "xz-peer": slow_peer_cases,
    "verify": verify_cases,
    "change": change_cases,
    "small": small_cases,
    "memory": memory_cases,
    "memory-verify": memory_verify_cases,
    "peers": peer_cases,
}
SLOW = {"xz", "xz-peer", "memory", "memory-verify", "peers"}


def main() -> int:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="the slow groups too")
    parser.add_argument("--group", choices=GROUPS, action="append", help="only this group (repeatable)")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of a case (default 5)")
    parser.add_argument("--realtime", action="store_true", help="go before other processes of this machine (root)")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    parser.add_argument("--work", type=Path, default=HERE.parent / ".cache/bench", help="scratch folder")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    image = work / "rootfs-1g.ext4"
    subprocess.run([HERE / "image.sh", image], check=True)
    # As an installed program is; a tree that was just edited would be compiled on every start.
    for portion in HERE.parent.glob("*/bistable"):
        compileall.compile_dir(portion, quiet=2)
    if arguments.realtime:
        go_before_others()
    place = Place(image=image, work=work, bistable=str(Path(sys.executable).with_name("bistable")), runs=arguments.runs)
    report = Report()
    wanted = arguments.group or [name for name in GROUPS if arguments.all or name not in SLOW]
    stored = work / "results.json"
    groups: dict[str, Any] = json.loads(stored.read_text()) if stored.exists() else {}
    for name in [] if arguments.page else wanted:
        report(f"--- {name}")
        cases = GROUPS[name](place)
        results = run_group([case for case in cases if case.needs is None], report)
        missing = [[case.name, "not measured: " + case.needs] for case in cases if case.needs is not None]
        groups[name] = {"rows": rows(results) + missing, "conditions": conditions(results, arguments.realtime)}
        stored.write_text(json.dumps(groups, indent=1))
    text = render(groups)
    sys.stdout.write(text)
    if arguments.page or not arguments.group:
        PAGE.write_text(text)
    return 0


def rows(results: Sequence[Result]) -> list[list[str]]:
    """Return a table row for each case."""
    found = []
    for result in results:
        if result.failure is not None or not result.runs:
            found.append([result.case.name, f"failed: {result.failure}"])
            continue
        size = result.median("size")
        found.append(
            [
                result.case.name,
                f"{result.median('cpu'):.2f}",
                f"{result.median('wall'):.2f}",
                f"{result.median('rss'):.0f}",
                f"{size / 1e6:.1f}" if size else "",
                str(len(result.runs)),
            ]
        )
    return found


def conditions(results: Sequence[Result], realtime: bool) -> str:
    """Return how quiet the machine was."""
    runs = [run for result in results for run in result.runs]
    if not runs:
        return "Nothing was measured."
    loads = [run.load for run in runs]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, load average {min(loads):.1f} to {max(loads):.1f}; all else took "
        f"{statistics.median(run.others for run in runs):.0%} of the processors, "
        f"{'what the measured programs left over' if realtime else 'with the same priority'}."
    )


def render(groups: dict[str, Any]) -> str:
    """Return the Markdown page: the written part, then the tables."""
    machine = f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}."
    lines = [*TEXT.read_text().rstrip().splitlines(), "", machine, "", "## Targets", "", *target_table(groups)]
    for name in GROUPS:
        if name not in groups:
            continue
        lines += [
            "",
            f"## {name}",
            "",
            groups[name]["conditions"],
            "",
            "| what | CPU s | wall s | peak MiB | output MB | runs |",
            "|---|---|---|---|---|---|",
        ]
        lines += ["| " + " | ".join(row + [""] * (6 - len(row))) + " |" for row in groups[name]["rows"]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
