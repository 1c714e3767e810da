"""The conformance suite on the boards of the catalogue that QEMU runs, as `bistable board test` runs it."""

import json
from pathlib import Path
from typing import Any

import pytest
from commandline import call_program

from bistable.tools.bench.run import require
from bistable.tools.board.catalogue import board_keys, find_board
from bistable.tools.bringup.suite import CASES
from board_disks import board_disk
from boot_bench import skipping

EVERY_RUN = {"qemuarm64": ("broken-kernel",), "qemux86-64": ("first-boot", "canary")}
"""What every run of the tests shows; all cases on all boards take an hour."""

IN_QEMU = [key for key in board_keys() if find_board(key).qemu is not None]


def report_of(name: str, folder: Path, *more: str, kernel: str | None = None) -> dict[str, Any]:
    """Run the command, and return the report that it wrote. Its machine is gone afterwards."""
    with skipping():
        disk = board_disk(name, kernel)
        qemu = disk.board.qemu
        assert qemu is not None
        require(qemu.program)
    if not all(path.exists() for path in qemu.firmware.values()):
        pytest.skip(f"the firmware is not installed: {qemu.package}")
    words: list[str | Path] = ["--image", disk.image, "--key", disk.key]
    words += ["--report", folder / "report", "--work", folder / "work"]
    outcome = call_program("board", "test", disk.folder, *words, *more)
    report: dict[str, Any] = json.loads((folder / "report" / "report.json").read_text())
    assert outcome.code == (0 if report["good"] else 1)
    assert [line.split()[0] for line in outcome.err.splitlines()] == [case["name"] for case in report["cases"]]
    return report


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    """Return case -> verdict, with what went wrong."""
    return {
        case["name"]: case["verdict"] if case["trouble"] is None else f"{case['verdict']}: {case['trouble']}"
        for case in report["cases"]
    }


@pytest.mark.boots
@pytest.mark.parametrize("name", EVERY_RUN)
def test_a_board_passes_a_few_cases(name: str, tmp_path: Path) -> None:
    report = report_of(name, tmp_path, *(word for case in EVERY_RUN[name] for word in ("--case", case)))
    assert verdicts(report) == dict.fromkeys(EVERY_RUN[name], "passed")
    lanes = {phase["lane"] for phase in report["phases"]}
    assert lanes == {"power", "boot loader", "kernel", "slot a"}
    assert (tmp_path / "report" / "report.html").exists()
    assert "bistable: booting slot a" in (tmp_path / "report" / "console.log").read_text("utf-8", "replace")


WITH_WATCHDOG = {"amd64": "linux-image-amd64"}
"""Architecture -> a kernel with a driver for the watchdog of QEMU; elsewhere one in software stands in for it."""

SKIPPED = {
    "systemd-boot": {"canary", "broken-kernel"},
    "efi": {"canary"},
}
"""Boot flow -> cases that make no sense with it."""


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize("name", IN_QEMU)
def test_a_board_passes_the_whole_suite(name: str, tmp_path: Path) -> None:
    report = report_of(name, tmp_path, kernel=WITH_WATCHDOG.get(find_board(name).boot.architecture))
    skipped = SKIPPED.get(report["board"]["flow"], set())
    assert verdicts(report) == {case: "skipped" if case in skipped else "passed" for case in CASES}
