"""Updates that do not come up, or that nobody keeps: the old system comes back."""

from pathlib import PurePosixPath
from typing import Final

from bistable.tools.bench.console import DEATHS
from bistable.tools.bringup.suite.cases.case import Case, needs_changes
from bistable.tools.bringup.suite.cases.trial import needs_quiet_trial, quiet_trial
from bistable.tools.bringup.suite.changes import Put
from bistable.tools.bringup.suite.errors import NotHereError
from bistable.tools.bringup.suite.flows import MOST_TRIES
from bistable.tools.bringup.suite.subject import ANY, PlaceKind, Subject

INIT: Final = "/sbin/init"
_ENDS: Final = b"#!/bin/sh\necho 'conformance: the first process ends'\nexit 1\n"
"""A kernel whose first process ends panics. One without any would look for a shell, and wait in that."""

_NO_KERNEL: Final = b"This is not a kernel.\n" * 64

_ARM: Final = (
    "test -c {device} || {{ echo there is no {device}; exit 0; }}; "
    "( exec 9>{device} && ( sleep 1000000 >/dev/null 2>&1 & ) ) 2>/dev/null; echo armed"
)
"""Who opens it arms it. If it cannot be opened, somebody else has it, and feeds it until the kernel stands still."""

_SOFTWARE: Final = "Software Watchdog"
_SOFTDOG: Final = "softdog"
"""What it calls itself, and its driver."""

_CAN_HANG: Final = "test -w /proc/sysrq-trigger"
_HANG: Final = "sync; echo 1 >/proc/sys/kernel/sysrq; echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger"


def no_commit_rollback(subject: Subject) -> None:
    """Reboot until the tries are used up."""
    before, target = subject.running, subject.other
    name = subject.install_new(*quiet_trial(subject))
    most = subject.tries or MOST_TRIES
    tried, slot = 0, subject.reboot("and commit nothing")
    while slot == target and tried <= most:
        subject.expect_running(target, slot, why="in the trial")
        tried += 1
        slot = subject.reboot("and commit nothing")
    _expect_tried(subject, tried)
    subject.expect_given_up(before, slot, name, why="after the tries were used up")


def _expect_tried(subject: Subject, tried: int) -> None:
    expected = f"{subject.tries} times" if subject.tries is not None else f"1 to {MOST_TRIES} times"
    fits = tried == subject.tries if subject.tries is not None else 1 <= tried <= MOST_TRIES
    subject.expect("how often the new system was tried", expected=expected, seen=expected if fits else f"{tried} times")


def broken_kernel(subject: Subject) -> None:
    """Replace the kernel by something that is none."""
    _broken(subject, Put(path=str(subject.board.boot.kernel), content=_NO_KERNEL))


def _no_broken_kernel(subject: Subject) -> str | None:
    boot = subject.board.boot
    if not subject.flow.passes_bad_kernel:
        return (
            f"with {boot.flow.value}, a kernel that cannot be started ends in the firmware, which may wait for a person"
        )
    return needs_changes(subject) or _missing(subject, str(boot.kernel))


def broken_rootfs(subject: Subject) -> None:
    """Have the first process end at once."""
    _broken(subject, Put(path=INIT, content=_ENDS, mode=0o755))


def _no_broken_rootfs(subject: Subject) -> str | None:
    return needs_changes(subject) or _missing(subject, INIT)


def _missing(subject: Subject, path: str) -> str | None:
    return None if subject.offers.has(path) else f"there is no {path} in the root file system of the image"


def _broken(subject: Subject, change: Put) -> None:
    before = subject.running
    name = subject.install_new(change)
    with subject.device.console.tolerating(*DEATHS):
        slot = subject.reboot("into the broken system")
    subject.expect_given_up(before, slot, name, why="after the broken system")


def hang_watchdog(subject: Subject) -> None:
    """Let the new system stand still, as often as it is tried."""
    if subject.device.run(_CAN_HANG, allowed=ANY).status != 0:
        raise NotHereError("the kernel cannot be made to hang: it has no /proc/sysrq-trigger (CONFIG_MAGIC_SYSRQ)")
    _remark_on_watchdog(subject)
    before, target = subject.running, subject.other
    name = subject.install_new(*quiet_trial(subject))
    most = subject.tries or MOST_TRIES
    hangs, slot = 0, subject.reboot("into the new system")
    while slot == target and hangs <= most:
        slot = _hang(subject)
        hangs += 1
    _expect_tried(subject, hangs)
    subject.expect_given_up(before, slot, name, why="after the new system hung")


def _remark_on_watchdog(subject: Subject) -> None:
    """Say where something else than the board's watchdog does its work."""
    watchdog = subject.board.watchdog
    if watchdog is None:
        subject.journal.remark(
            "The board has no watchdog: a switch stood in for it. A system that hangs does so until it is reset."
        )
        return
    node = PurePosixPath(watchdog.device).name
    path = f"/sys/class/watchdog/{node if node[-1].isdigit() else f'{node}0'}/identity"
    found = subject.device.run(f"cat {path} 2>/dev/null", allowed=ANY).output.strip()
    if found == _SOFTWARE and watchdog.driver != _SOFTDOG:
        subject.journal.remark(
            f"The kernel has no driver {watchdog.driver}: a watchdog in software stood in for it. That ends a hang "
            "only where the kernel still sees to interrupts."
        )


def _hang(subject: Subject) -> str:
    watchdog = subject.board.watchdog
    if watchdog is not None:
        subject.expect(
            "the watchdog",
            expected="armed",
            seen=subject.device.run(_ARM.format(device=watchdog.device)).output,
            hint=f"the kernel needs the driver {watchdog.driver}; look at [watchdog] in board.toml",
        )
    subject.journal.step("let the kernel stand still")
    with subject.device.console.tolerating(*DEATHS):
        subject.device.console.send(_HANG)
        if watchdog is None:
            subject.device.reset()
        return subject.boot()


def _no_hang(subject: Subject) -> str | None:
    if subject.board.watchdog is None and subject.place.kind is PlaceKind.QEMU:
        return "the board has no watchdog: a system that hangs stays so until somebody cuts its power"
    return needs_quiet_trial(subject)


NO_COMMIT_ROLLBACK: Final = Case(
    name="no-commit-rollback",
    proves="An update that nobody commits is tried as often as it may, and then the old system comes back.",
    run=no_commit_rollback,
    why_not=needs_quiet_trial,
)

BROKEN_KERNEL: Final = Case(
    name="broken-kernel",
    proves="After an update whose kernel cannot be started, the old system comes back by itself.",
    run=broken_kernel,
    why_not=_no_broken_kernel,
)

BROKEN_ROOTFS: Final = Case(
    name="broken-rootfs",
    proves="After an update whose kernel panics, as its first process ends, the old system comes back by itself.",
    run=broken_rootfs,
    why_not=_no_broken_rootfs,
)

HANG_WATCHDOG: Final = Case(
    name="hang-watchdog",
    proves="After an update that hangs, the watchdog resets the board until the old system comes back.",
    run=hang_watchdog,
    why_not=_no_hang,
)
