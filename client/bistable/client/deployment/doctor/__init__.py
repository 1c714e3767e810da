"""Looks for what is set up wrong on a device, before an update finds it, and says how to mend it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from bistable.artifact.errors import BistableError
from bistable.client.config import Loaded
from bistable.client.deployment.device import Device
from bistable.client.deployment.doctor import bootloader, memory, programs, surroundings
from bistable.client.deployment.doctor.finding import Finding, Grade, bad

__all__ = ["AREAS", "Finding", "Grade", "examine"]

AREAS: Final[Mapping[str, Callable[[Device], Iterator[Finding]]]] = {
    "device": surroundings.examine,
    "data": memory.examine,
    "slots": bootloader.examine_slots,
    "boot loader": bootloader.examine_bootloader,
    "keys": surroundings.examine_keys,
    "clock": surroundings.examine_clock,
    "watchdog": surroundings.examine_watchdog,
    "modules": programs.examine_modules,
    "scripts": programs.examine_scripts,
    "health": programs.examine_health,
    "other clients": programs.examine_rivals,
}
"""What is looked at -> what looks at it."""


def examine(loaded: Loaded, device: Device) -> Sequence[Finding]:
    """Look at everything; what cannot even be looked at is a fault, not an error."""
    found = [Finding(area="configuration", grade=Grade.DOUBT, what=warning) for warning in loaded.warnings]
    if not found:
        sources = sorted({str(origin.path) for origin in loaded.origins.values()})
        found.append(Finding(area="configuration", grade=Grade.GOOD, what=", ".join(sources) or "all defaults"))
    for area, look in AREAS.items():
        try:
            found += look(device)
        except BistableError as e:
            found.append(bad(area, e.what, e.hint))
    return found
