"""Measure installing beside Debian's Mender client (and RAUC and SWUpdate), in turns, on the same slots and images.

python benchmarks/client.py                  measure all; the tables go to docs/reference/benchmarks-client.md
python benchmarks/client.py --group zstd     only this group (repeatable), tables on stdout only
python benchmarks/client.py --page           the page from what was measured last

Needs root (loop devices, a chroot), and `mender`, `busybox`; `rauc`, `squashfs-tools`, `dbus-daemon`, `swupdate` and
`cpio` for the group `others`. What is missing is named in the table.
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

from contest import Contest, Target, measure, verdict
from devices import Bench, three_in_a_pipe, three_steps
from measure import Report, go_before_others
from otherclients import other_contests

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/reference/benchmarks-client.md"
SIZES = {"256 MiB": 256, "1 GiB": 1024}
MOST_MIB = 40e6 / (1 << 20)
"""The limit is 40 MB."""


def install_contests(bench: Bench, codec: str) -> list[Contest]:
    """Installing with one codec, at both sizes: ours on loop devices and on files, and what it is compared with."""
    made = []
    for label, mib in SIZES.items():
        artifact = bench.artifact(mib, codec)
        ours = bench.ours.install(f"bistablectl install, {codec}, {label}", artifact, mib)
        files = bench.ours_on_files.install(f"bistablectl install, {codec}, {label}, slots are files", artifact, mib)
        if codec == "zstd":
            rival, context = three_steps(bench, label, mib), [three_in_a_pipe(bench, label, mib)]
            target = Target("the three", 1.3)
        else:
            rival, context = bench.mender.install(f"mender install, {codec}, {label}", artifact, mib), []
            target = Target("mender", 0.8)
        entries = [ours, files]
        if codec == "gzip":
            name = f"bistablectl install, {codec}, {label}, without zlib-ng"
            entries.append(bench.ours.install_with_zlib(name, artifact, mib))
        made.append(Contest(rival=rival, ours=entries, context=context, target=target, most_mib=MOST_MIB))
    return made


def signed_contests(bench: Bench) -> list[Contest]:
    """Installing a signed artifact: memory, with what checks signatures."""
    ours = [
        bench.ours_signed.install(f"bistablectl install, {codec}, 1 GiB, signed", artifact, 1024)
        for codec in ("none", "gzip", "zstd")
        for artifact in [bench.artifact(1024, codec, signed=True)]
    ]
    plain = bench.artifact(1024, "none", signed=True)
    rival = bench.mender_signed.install("mender install, none, 1 GiB, signed", plain, 1024)
    return [Contest(rival=rival, ours=ours, target=None, most_mib=MOST_MIB)]


def command_contests(bench: Bench) -> list[Contest]:
    """Short commands, beside a Python that does nothing."""
    return [
        Contest(
            rival=bench.nothing(),
            ours=[bench.ours.command(word) for word in ("status", "provides", "history")],
            target=None,
            most_mib=MOST_MIB,
            most_seconds=0.25,
        )
    ]


GROUPS: dict[str, Callable[[Bench], list[Contest]]] = {
    "none": lambda bench: install_contests(bench, "none"),
    "gzip": lambda bench: install_contests(bench, "gzip"),
    "zstd": lambda bench: install_contests(bench, "zstd"),
    "signed": signed_contests,
    "others": other_contests,
    "commands": command_contests,
}
HEADINGS = {"none": "## Installing", "commands": "## Commands"}
NAMES = {
    "none": "Not compressed",
    "gzip": "gzip",
    "zstd": "zstd",
    "signed": "Signed",
    "others": "RAUC and SWUpdate",
}


def main() -> int:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", choices=GROUPS, action="append", help="only this group (repeatable)")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of a case (default 5)")
    parser.add_argument("--realtime", action="store_true", help="go before other processes of this machine")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    parser.add_argument("--image", type=Path, default=HERE.parent / ".cache/bench/rootfs-1g.ext4", help="1 GiB image")
    parser.add_argument("--work", type=Path, default=Path("/dev/shm/bistable-bench"), help="scratch folder (6 GiB)")
    parser.add_argument(
        "--disk", type=Path, default=HERE.parent / ".cache/bench/slots", help="for slots that are files"
    )
    parser.add_argument("--results", type=Path, default=HERE.parent / ".cache/bench/client.json", help="what was found")
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    groups: dict[str, Any] = json.loads(arguments.results.read_text()) if arguments.results.exists() else {}
    if not arguments.page:
        subprocess.run([HERE / "image.sh", arguments.image], check=True)
        for portion in HERE.parent.glob("*/bistable"):
            compileall.compile_dir(portion, quiet=2)
        with Bench(arguments.work, arguments.disk, arguments.image, python=Path(sys.executable)) as bench:
            if arguments.realtime:
                go_before_others()
            for name in arguments.group or GROUPS:
                Report()(f"--- {name}")
                groups[name] = measured(GROUPS[name](bench), arguments.runs, realtime=arguments.realtime)
                arguments.results.write_text(json.dumps(groups, indent=1))
    text = render(groups)
    sys.stdout.write(text)
    if arguments.page or not arguments.group:
        PAGE.write_text(merged(PAGE.read_text() if PAGE.exists() else "# Benchmarks of the client\n", text))
    return 0


def measured(contests: Sequence[Contest], runs: int, *, realtime: bool) -> dict[str, Any]:
    """Measure contests and return a table, and how quiet the machine was."""
    rows: list[list[str]] = []
    loads: list[float] = []
    others: list[float] = []
    for contest in contests:
        if contest.needs is not None:
            rows.append([contest.rival.name, f"not measured: {contest.needs}"])
            continue
        results = measure(contest, runs, Report())
        rows += verdict(contest, results)
        loads += [run.load for result in results for run in result.runs]
        others += [run.others for result in results for run in result.runs]
    conditions = ""
    if loads:
        conditions = (
            f"{datetime.now(UTC):%Y-%m-%d}, load average {min(loads):.1f} to {max(loads):.1f}, measured programs "
            f"{'before' if realtime else 'as'} others, who took {statistics.median(others):.0%} of the processors."
        )
    return {"rows": rows, "conditions": conditions}


def render(groups: dict[str, Any]) -> str:
    """Return the part of the page that is made here."""
    lines: list[str] = []
    for name in GROUPS:
        if name not in groups:
            continue
        if name in HEADINGS:
            lines += [HEADINGS[name], ""]
        if name == "none":
            lines += [f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}.", ""]
        if name in NAMES:
            lines += [f"### {NAMES[name]}", ""]
        lines += [
            groups[name]["conditions"],
            "",
            "| what | CPU s | wall s | peak MiB | runs | target | met |",
            "|---|---|---|---|---|---|---|",
            *("| " + " | ".join(row + [""] * (7 - len(row))) + " |" for row in groups[name]["rows"]),
            "",
        ]
    return "\n".join(lines)


def merged(page: str, made: str) -> str:
    """Return `page` with the marked part replaced by what was `made`, or with it at its end."""
    begin, end = "<!-- begin of what benchmarks/client.py makes -->", "<!-- end of it -->"
    before, found, rest = page.partition(begin)
    after = rest.partition(end)[2] if found else ""
    return f"{before.rstrip()}\n\n{begin}\n\n{made.strip()}\n\n{end}\n{after.lstrip() and chr(10) + after.lstrip()}"


if __name__ == "__main__":
    sys.exit(main())
