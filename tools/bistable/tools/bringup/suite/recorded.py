"""A device whose doings go into the journal."""

from bistable.tools.bench import patience
from bistable.tools.bench.console import Console
from bistable.tools.bench.device import Device
from bistable.tools.bench.shell import Answer
from bistable.tools.bringup.suite.journal import Journal
from bistable.tools.bringup.suite.result import EventKind


class RecordedDevice:
    """Passes everything on to a device, and takes down when its power and its resets were touched."""

    def __init__(self, device: Device, journal: Journal) -> None:
        self._device, self._journal = device, journal
        self._on = False

    @property
    def console(self) -> Console:
        """Return the serial line."""
        return self._device.console

    def run(self, command: str, *, seconds: float = patience.COMMAND, allowed: tuple[int, ...] = (0,)) -> Answer:
        """Run a shell command as root; see `Device`."""
        return self._device.run(command, seconds=seconds, allowed=allowed)

    def reboot(self) -> str:
        """Reboot as a person would, and return the slot that came up."""
        self._journal.event(EventKind.REBOOT)
        return self._up(self._device.reboot())

    def cut_power(self) -> None:
        """Take the power away. `boot` brings it back."""
        self._device.cut_power()
        self._on = False
        self._journal.event(EventKind.POWER_CUT)

    def boot(self) -> str:
        """Switch it on if it is off, wait for its shell, and return the slot that runs."""
        if not self._on:
            self._on = True
            self._journal.event(EventKind.POWER_ON)
        return self._up(self._device.boot())

    def reset(self) -> None:
        """Press the reset button, or what stands in for it."""
        self._journal.event(EventKind.RESET)
        self._device.reset()

    def says(self, beginning: str) -> list[str]:
        """Return the lines of the console so far that begin with these words."""
        return self._device.says(beginning)

    def _up(self, slot: str) -> str:
        self._journal.event(EventKind.UP, slot)
        return slot
