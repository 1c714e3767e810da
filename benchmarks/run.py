"""Measure Bistable beside its peers, in one run, on a 1 GiB ext4 image of a real Debian root file system.

python benchmarks/run.py                 all but the slow groups; the table goes to docs/reference/benchmarks.md
python benchmarks/run.py --all           with xz, 10 GiB inputs, RAUC and SWUpdate
python benchmarks/run.py --group write   one group, table on stdout only
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

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
from measure import Case, Report, Result, run_group

HERE = Path(__file__).parent
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
    parser.add_argument("--work", type=Path, default=HERE.parent / ".cache/bench", help="scratch folder")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    image = work / "rootfs-1g.ext4"
    subprocess.run([HERE / "image.sh", image], check=True)
    place = Place(image=image, work=work, bistable=str(Path(sys.executable).with_name("bistable")), runs=arguments.runs)
    report = Report()
    wanted = arguments.group or [name for name in GROUPS if arguments.all or name not in SLOW]
    stored = work / "results.json"
    tables: dict[str, list[list[str]]] = json.loads(stored.read_text()) if stored.exists() else {}
    for name in wanted:
        report(f"--- {name}")
        cases = GROUPS[name](place)
        tables[name] = rows(run_group([case for case in cases if case.needs is None], report))
        tables[name] += [[case.name, "not measured: " + case.needs] for case in cases if case.needs is not None]
        stored.write_text(json.dumps(tables, indent=1))
    text = render(tables)
    sys.stdout.write(text)
    if not arguments.group:
        (HERE.parent / "docs/reference/benchmarks.md").write_text(text)
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


def render(tables: dict[str, list[list[str]]]) -> str:
    """Return the Markdown page."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `python benchmarks/run.py --all`; medians over the runs named in the last column, of whole processes,",
        "as the operating system counts them. The input is a 1 GiB ext4 image of a Debian root file system",
        "(`benchmarks/image.sh`). CPU seconds are the figure to trust on a machine that does other things as well;",
        "memory is the peak of the largest process.",
        "",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}.",
    ]
    for name in GROUPS:
        if name not in tables:
            continue
        lines += [
            "",
            f"## {name}",
            "",
            "| what | CPU s | wall s | peak MiB | output MB | runs |",
            "|---|---|---|---|---|---|",
        ]
        lines += ["| " + " | ".join(row + [""] * (6 - len(row))) + " |" for row in tables[name]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
