"""What a system on trial has to pass, wired from the settings: health, reach, and a watchdog over both."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from bistable.client.deployment.ports import Watchdog

if TYPE_CHECKING:
    from bistable.client.config.settings import HealthSettings, WatchdogSettings


class DeviceHealth:
    """The health checks of this device."""

    def __init__(self, settings: "HealthSettings", clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock

    def check(self, used: float, on_used: Callable[[float], None]) -> float:
        """Check the system and return the seconds that were used of the deadline.

        Raises:
            HealthError: it is not healthy, or the deadline is over.
        """
        from bistable.client.health import HealthChecks

        health = self._settings
        checks = HealthChecks(
            health.directory,
            health.units,
            no_failed_units=health.no_failed_units,
            deadline=health.deadline,
            clock=self._clock,
            sleep=time.sleep,
            on_used=on_used,
        )
        return checks.check(used)


class _Unwatched:
    """Nothing reboots a device that hangs: none is configured."""

    def arm(self) -> None:
        """Do nothing."""

    def disarm(self) -> None:
        """Do nothing."""


def make_watchdog(settings: "WatchdogSettings", clock: Callable[[], float]) -> Watchdog:
    """Return what watches over the steps of a trial."""
    if settings.device is None:
        return _Unwatched()
    from bistable.client.health import Guard, HardwareWatchdog

    return Guard(HardwareWatchdog(settings.device), settings.phase, clock, seconds=settings.limit)
