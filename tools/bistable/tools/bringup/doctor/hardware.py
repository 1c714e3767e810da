"""Whether the hardware is as the board says, as far as Linux tells: the watchdog."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from bistable.tools.board.model import Watchdog as Wanted
from bistable.tools.bringup.doctor.expected import Expected
from bistable.tools.bringup.doctor.facts import Facts, Watchdog
from bistable.tools.bringup.doctor.finding import HARDWARE, Finding, error, warning

_ACTIVE: Final = "active"
_SOFTWARE: Final = "Software Watchdog"
"""What softdog calls itself."""


def check_watchdog(expected: Expected, facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the watchdog: without it, a system that hangs is not rolled back."""
    wanted = expected.board.watchdog
    if wanted is None:
        return
    found = next((one for one in facts.watchdogs if one.name == PurePosixPath(wanted.device).name), None)
    if found is None and wanted.device == "/dev/watchdog" and facts.watchdogs:
        found = facts.watchdogs[0]
    if found is None:
        others = ", ".join(f"/dev/{one.name} ({one.driver or one.identity})" for one in facts.watchdogs)
        yield error(
            HARDWARE,
            f"there is no watchdog {wanted.device}: a system that hangs would hang for ever",
            f"the kernel's configuration: the driver {wanted.driver}, built in; its node in the device tree: "
            'status = "okay"; or [watchdog] device in board.toml',
            found=others or "no watchdog at all",
            expected=f"{wanted.device} ({wanted.driver})",
        )
        return
    if found.identity == _SOFTWARE:
        yield error(
            HARDWARE,
            f"{wanted.device} is a watchdog in software: it resets nothing if the kernel itself hangs",
            f"the kernel's configuration: the driver {wanted.driver}, built in, and no softdog before it",
            found=found.identity,
            expected=wanted.driver,
        )
        return
    yield from _compared(wanted, found)


def _compared(wanted: Wanted, found: Watchdog) -> Iterator[Finding]:
    if found.driver and found.driver.replace("_", "-") != wanted.driver.replace("_", "-"):
        yield warning(
            HARDWARE,
            f"{wanted.device} is a watchdog of another driver than board.toml names",
            "[watchdog] driver in board.toml; or [watchdog] device, if the board has several",
            found=f"{found.driver} ({found.identity})",
            expected=wanted.driver,
        )
    if found.most and found.most < wanted.timeout:
        yield error(
            HARDWARE,
            "the watchdog cannot wait as long as board.toml sets it to",
            "[watchdog] timeout in board.toml",
            found=f"at most {found.most} s",
            expected=f"{wanted.timeout} s",
        )
    # One that nobody has started has the time of its driver; the client sets it when it starts it.
    elif found.state == _ACTIVE and found.timeout is not None and found.timeout != wanted.timeout:
        yield warning(
            HARDWARE,
            "the watchdog runs with another time than that of board.toml",
            "who starts it: systemd (RuntimeWatchdogSec), U-Boot or a daemon; or [watchdog] timeout in board.toml",
            found=f"{found.timeout} s",
            expected=f"{wanted.timeout} s",
        )
