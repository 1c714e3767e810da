"""Whether an updated system is good enough to stay, and what happens when it cannot even be asked."""

from bistable.client.health.checks import UnhealthyError
from bistable.client.health.guard import Guard
from bistable.client.health.probes import HealthChecks
from bistable.client.health.watchdog import HardwareWatchdog, NoWatchdog, SystemdWatchdog, Watchdog

__all__ = [
    "Guard",
    "HardwareWatchdog",
    "HealthChecks",
    "NoWatchdog",
    "SystemdWatchdog",
    "UnhealthyError",
    "Watchdog",
]
