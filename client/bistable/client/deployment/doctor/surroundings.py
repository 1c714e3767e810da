"""The device itself: its type, keys, clock and watchdog."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bistable.client.deployment.device import Device
from bistable.client.deployment.doctor.finding import Finding, bad, doubt, good, note

EARLIEST_YEAR: Final = 2025
"""This program is of that year: a clock that says less has not been set."""


def examine(device: Device) -> Iterator[Finding]:
    """Look at what the device is."""
    kind, path = device.device_type(), device.settings.device.device_type_file
    if kind is None:
        yield bad("device", f"the device type is not known: {path} does not say it", "set device.type")
    else:
        yield good("device", f"it is of the type {kind}")
    if os.geteuid() != 0:
        yield doubt("device", "this is not root: much cannot be looked at, and nothing be installed", "use sudo")


def examine_keys(device: Device) -> Iterator[Finding]:
    """Look at the keys by which artifacts are believed."""
    keys = device.settings.trust.verify_keys
    if not keys:
        yield doubt(
            "keys",
            "none: any artifact is installed, whoever made it",
            "set trust.verify-keys; `bistable artifact keys generate` makes a pair",
        )
        return
    names = [verifier.name for verifier in device.policy.verifiers]
    yield good("keys", f"artifacts have to be signed by {' or '.join(names)}")


def examine_clock(device: Device) -> Iterator[Finding]:
    """Look at the clock: nothing is decided by it here, but certificates of servers are."""
    now = datetime.fromtimestamp(device.system.wall(), UTC)
    if now.year < EARLIEST_YEAR:
        yield doubt(
            "clock",
            f"it says {now:%Y-%m-%d}: updates work, but https servers will not be trusted",
            "let the device get the time (systemd-timesyncd, chrony), or give it a battery",
        )
    else:
        yield good("clock", f"{now:%Y-%m-%d %H:%M}Z")


def examine_watchdog(device: Device) -> Iterator[Finding]:
    """Look at the watchdog, without touching it: opening it would start it."""
    path = device.settings.watchdog.device
    if path is None:
        yield note(
            "watchdog",
            "none is set: a new system that hangs before its commit waits for somebody to pull the plug",
            "set watchdog.device, or let the boot loader or systemd (RuntimeWatchdogSec=) start one",
        )
        return
    if not path.exists():
        yield bad("watchdog", f"{path} does not exist", "is its driver in the kernel? set watchdog.device right")
        return
    name = "watchdog0" if path.name == "watchdog" else path.name
    if _line(Path("/sys/class/watchdog") / name / "nowayout") == "1":
        yield bad(
            "watchdog",
            f"{path} cannot be stopped once it runs (nowayout)",
            "leave it to systemd (RuntimeWatchdogSec=), or load its driver with nowayout=0",
        )
    else:
        yield good("watchdog", str(path))


def _line(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""
