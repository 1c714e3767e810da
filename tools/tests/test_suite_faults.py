"""Boards that do wrong, and which cases catch them; and boards that do right, which pass."""

from dataclasses import replace
from pathlib import Path

import pytest
from suite_boards import run_on
from suite_clients import Shelf

from bistable.artifact.errors import MachineError
from bistable.tools.board.model import Board, Flow
from bistable.tools.bringup.suite import CASES, PlaceKind, SuiteResult, Verdict
from bistable.tools.bringup.suite.changes import Change

CANARY = "canary"
CUTS = "power-cuts"
FIRST = "first-boot"
HANG = "hang-watchdog"
INSTALL = "install-commit"
KERNEL = "broken-kernel"
MANY = "many-updates"
NO_COMMIT = "no-commit-rollback"
ROOTFS = "broken-rootfs"
SLOTS = "both-slots"
TRIP = "environment-round-trip"

UPDATES = {INSTALL, SLOTS, CUTS, MANY}
FALLBACKS = {NO_COMMIT, KERNEL, ROOTFS, HANG}
ALL = set(CASES)

FAULTS = {
    # The boot loader.
    "stubborn": {TRIP, NO_COMMIT, HANG, *UPDATES},
    "silent": {TRIP},
    "counts-nothing": {TRIP, NO_COMMIT, KERNEL},
    "never-falls-back": {NO_COMMIT, KERNEL},
    "gives-up-early": {TRIP, NO_COMMIT, HANG, CUTS},
    "takes-trial-for-good": {TRIP, INSTALL, NO_COMMIT, KERNEL},
    "waits-in-loader": {KERNEL},
    "panic-stays": {ROOTFS},
    "watchdog-asleep": {HANG},
    "no-watchdog": {HANG},
    "goes-back": {INSTALL, CUTS},
    "wrong-root": {NO_COMMIT, *UPDATES},
    # Its memory.
    "elsewhere": ALL,
    "elsewhere-unnoticed": ALL - {FIRST},
    "unseen": ALL,
    "unreadable": {FIRST},
    "memory-volatile": {CUTS},
    "commit-volatile": {CUTS},
    # The disk.
    "born-in-b": {FIRST},
    "wrong-partition": {FIRST},
    "small-slot": {FIRST},
    "data-read-only": {FIRST, INSTALL},
    "data-in-slot": {FIRST, INSTALL},
    # The client, as the board has it.
    "dead": {FIRST},
    "wrong-type": {FIRST},
    "mark-ignored": {CANARY},
    "never-forbids": {CUTS},
    "commit-in-vain": UPDATES,
    "client-forgets": FALLBACKS,
    "store-volatile": {CUTS},
    "one-way": {SLOTS, CUTS, MANY, *FALLBACKS},
    "wears-out": {MANY},
}
"""What a board does wrong -> the cases that fail on it. Others pass, or cannot begin any more."""


def failed(result: SuiteResult) -> set[str]:
    """Return the names of the cases that failed."""
    return {case.name for case in result.cases if case.verdict is Verdict.FAILED}


@pytest.mark.parametrize("flow", [flow for flow in Flow if flow is not Flow.UBOOT_UBI], ids=str)
def test_a_sound_board_passes_every_case_that_makes_sense_for_its_boot_loader(flow: Flow, tmp_path: Path) -> None:
    result = run_on(tmp_path, flow=flow)
    assert result.is_good
    assert [case.name for case in result.cases] == list(CASES)
    skipped = {case.name for case in result.cases if case.verdict is Verdict.SKIPPED}
    assert skipped == {
        Flow.SYSTEMD_BOOT: {CANARY, KERNEL},
        Flow.RASPBERRY_PI: {CANARY, KERNEL},
        Flow.EFI: {CANARY},
        Flow.CUSTOM: {CANARY},
    }.get(flow, set())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_board_that_does_wrong_is_caught(fault: str, tmp_path: Path) -> None:
    assert failed(run_on(tmp_path, fault)) == FAULTS[fault]


def test_every_case_catches_something() -> None:
    assert set().union(*FAULTS.values()) == ALL


def test_a_restart_that_does_not_say_tryboot_starts_no_trial_on_a_raspberry_pi(tmp_path: Path) -> None:
    result = run_on(tmp_path, "no-tryboot-word", flow=Flow.RASPBERRY_PI)
    assert failed(result) == {TRIP, NO_COMMIT, HANG, *UPDATES}


def test_a_grub_that_reads_another_partition_is_caught(tmp_path: Path) -> None:
    assert failed(run_on(tmp_path, "elsewhere", flow=Flow.GRUB)) == ALL


def test_cases_on_a_board_that_never_comes_up_are_blocked_and_say_why(tmp_path: Path) -> None:
    first, *others = run_on(tmp_path, "dead").cases
    assert first.verdict is Verdict.FAILED
    assert {case.verdict for case in others} == {Verdict.BLOCKED}
    assert others[0].reason == "the device cannot be brought to a known state"
    assert others[0].trouble is not None
    assert "waited 500 s" in others[0].trouble.what


def test_the_suite_goes_on_after_a_new_system_that_does_not_come_up(tmp_path: Path) -> None:
    result = run_on(tmp_path, "panic-stays")
    verdicts = {case.name: case.verdict for case in result.cases}
    assert verdicts[ROOTFS] is Verdict.FAILED
    assert verdicts[HANG] is Verdict.PASSED


def test_a_failure_says_what_was_expected_and_what_was_seen_and_shows_the_console(tmp_path: Path) -> None:
    case = next(case for case in run_on(tmp_path, "stubborn").cases if case.name == INSTALL)
    assert case.trouble is not None
    assert (case.trouble.expected, case.trouble.seen) == ("b", "a")
    assert case.trouble.what == "the slot that runs after the update"
    assert any("bistable: copies=" in line for line in case.console)


def test_what_the_client_says_when_it_refuses_is_in_the_report(tmp_path: Path) -> None:
    case = next(case for case in run_on(tmp_path, "elsewhere").cases if case.name == INSTALL)
    assert case.trouble is not None
    assert case.trouble.what.startswith("`bistablectl install http://")
    assert "the boot script has not left its mark" in str(case.trouble.seen)


def test_what_the_doctor_doubts_is_a_remark_and_no_failure(tmp_path: Path) -> None:
    first = run_on(tmp_path, "doubtful", cases=(FIRST,)).cases[0]
    assert first.verdict is Verdict.PASSED
    assert first.remarks == ("`bistablectl doctor` doubts: clock: it shows 1970",)


def without_watchdog(board: Board) -> Board:
    """Return the board without a watchdog."""
    return replace(board, watchdog=None)


def test_a_hang_is_not_tested_in_qemu_where_there_is_no_watchdog(tmp_path: Path) -> None:
    hang = run_on(tmp_path, cases=(HANG,), change=without_watchdog).cases[0]
    assert hang.verdict is Verdict.SKIPPED
    assert "has no watchdog" in str(hang.reason)


def test_a_switch_stands_in_for_a_watchdog_on_the_bench_and_the_report_says_so(tmp_path: Path) -> None:
    hang = run_on(tmp_path, cases=(HANG,), change=without_watchdog, kind=PlaceKind.SERIAL).cases[0]
    assert hang.verdict is Verdict.PASSED
    assert "a switch stood in for it" in hang.remarks[0]


def test_a_watchdog_in_software_does_not_pass_for_that_of_the_board_without_a_word(tmp_path: Path) -> None:
    hang = run_on(tmp_path, "softdog", cases=(HANG,)).cases[0]
    assert hang.verdict is Verdict.PASSED
    assert "no driver acorn-wdt: a watchdog in software stood in for it" in hang.remarks[0]
    assert run_on(tmp_path, cases=(HANG,)).cases[0].remarks == ()


def test_a_kernel_that_cannot_be_made_to_hang_is_a_reason_to_skip(tmp_path: Path) -> None:
    hang = run_on(tmp_path, "no-sysrq", cases=(HANG,)).cases[0]
    assert (hang.verdict, "sysrq" in str(hang.reason)) == (Verdict.SKIPPED, True)


def test_cases_that_change_files_are_skipped_where_that_cannot_be_done(tmp_path: Path) -> None:
    class ReadOnly(Shelf):
        can_change = False

    result = run_on(tmp_path, shelf=ReadOnly())
    assert result.is_good
    skipped = {case.name for case in result.cases if case.verdict is Verdict.SKIPPED}
    assert skipped == {KERNEL, ROOTFS}


def test_a_new_system_whose_service_would_see_to_its_trial_is_kept_from_that(tmp_path: Path) -> None:
    class WithSystemd(Shelf):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def has(self, path: str) -> bool:
            return True

        def offer(self, name: str, *changes: Change) -> str:
            self.seen += [change.path for change in changes]
            return super().offer(name, *changes)

    shelf = WithSystemd()
    assert run_on(tmp_path, cases=(NO_COMMIT,), shelf=shelf).is_good
    assert shelf.seen == [
        "/etc/systemd/system/bistable-recover.service",
        "/etc/systemd/system/bistabled.service",
    ]


@pytest.mark.parametrize("cuts", [1, 2, 3, 4, 7])
def test_the_power_is_cut_as_often_as_is_wished(cuts: int, tmp_path: Path) -> None:
    result = run_on(tmp_path, cases=(CUTS,), cuts=cuts)
    assert result.is_good
    assert result.cases[0].remarks == (f"{cuts} power cuts",)


def test_a_device_that_fetches_nothing_is_told_apart_from_one_that_is_cut_off(tmp_path: Path) -> None:
    class Unreachable(Shelf):
        def wait_until_stalled(self, seconds: float) -> bool:
            return False

    case = run_on(tmp_path, cases=(CUTS,), shelf=Unreachable()).cases[0]
    assert case.trouble is not None
    assert (case.trouble.what, case.trouble.seen) == ("what the device fetches", "cannot fetch")


def test_what_is_not_the_board_s_fault_stops_the_suite_and_is_not_a_failure(tmp_path: Path) -> None:
    class Full(Shelf):
        def offer(self, name: str, *changes: Change) -> str:
            raise MachineError("cannot write update.mender: No space left on device")

    result = run_on(tmp_path, shelf=Full())
    verdicts = [case.verdict for case in result.cases]
    assert verdicts == [Verdict.PASSED, *[Verdict.BLOCKED] * (len(CASES) - 1)]
    assert result.cases[1].reason == "the suite stopped here: cannot write update.mender: No space left on device"
    assert result.cases[2].reason == "the suite did not go on: cannot write update.mender: No space left on device"
    assert isinstance(result.stopped_by, MachineError)
    assert not result.is_good
