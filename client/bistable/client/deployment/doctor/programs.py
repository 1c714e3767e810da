"""Programs that an update calls: modules, state scripts, health checks; and other clients that are in the way."""

import os
from collections.abc import Iterator
from typing import Final

from bistable.client.deployment.device import Device
from bistable.client.deployment.doctor.finding import Finding, bad, good, note
from bistable.client.errors import ProgramError, ScriptError
from bistable.client.run import run

RIVALS: Final = ("mender-client.service", "mender-updated.service", "rauc.service", "swupdate.service")
"""Services that might install something at the same time."""

_QUICK: Final = 10.0


def examine_modules(device: Device) -> Iterator[Finding]:
    """Look at the update modules."""
    from bistable.client.modules import available_modules

    directories = device.settings.modules.directories
    names = available_modules(directories)
    places = ", ".join(str(path) for path in directories)
    if names:
        yield good("modules", ", ".join(names))
    else:
        yield note("modules", f"none in {places}: only root file systems can be installed")
    for directory in directories:
        if not directory.is_dir():
            continue
        for path in sorted(directory.iterdir()):
            if path.is_file() and not os.access(path, os.X_OK):
                yield bad("modules", f"{path} is not executable", f"chmod +x {path}")


def examine_scripts(device: Device) -> Iterator[Finding]:
    """Look at the state scripts of the root file system."""
    directory = device.settings.scripts.rootfs_dir
    try:
        device.scripts().check_rootfs_version()
    except ScriptError as e:
        yield bad("scripts", e.what, e.hint or f"echo -n 3 > {directory / 'version'}")
    else:
        yield good("scripts", f"{directory} is in order" if directory.is_dir() else f"none in {directory}")


def examine_health(device: Device) -> Iterator[Finding]:
    """Look at the health checks, without running them: they may wait for long."""
    health = device.settings.health
    paths = sorted(health.directory.iterdir()) if health.directory.is_dir() else []
    for path in paths:
        if not os.access(path, os.X_OK):
            yield bad("health", f"{path} is not executable: no update would pass it", f"chmod +x {path}, or remove it")
    checks = [path.name for path in paths]
    if checks or health.units or health.no_failed_units:
        units = [f"unit {unit}" for unit in health.units] + (["no failed units"] if health.no_failed_units else [])
        yield good("health", ", ".join([*checks, *units]))
    else:
        yield note(
            "health",
            "nothing is checked before a commit: a new system that boots is taken for good",
            f"put programs into {health.directory}, or set health.units",
        )


def examine_rivals(_device: Device) -> Iterator[Finding]:
    """Look whether another update client runs."""
    try:
        run(["systemctl", "is-active", "--quiet", *RIVALS], timeout=_QUICK)
    except ProgramError:
        yield good("other clients", "none runs")
        return
    active = [name for name in RIVALS if _active(name)]
    yield bad(
        "other clients",
        f"{', '.join(active)} runs: two clients would write to the same slot",
        f"systemctl disable --now {' '.join(active)}",
    )


def _active(name: str) -> bool:
    try:
        run(["systemctl", "is-active", "--quiet", name], timeout=_QUICK)
    except ProgramError:
        return False
    return True
