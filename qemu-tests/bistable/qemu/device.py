"""A device under test that is a machine in QEMU."""

from bistable.qemu.machine import Machine
from bistable.tools.bench import patience
from bistable.tools.bench.console import Console
from bistable.tools.bench.device import booted_slot
from bistable.tools.bench.shell import Answer, Shell


class QemuDevice:
    """A device that is a machine in QEMU, with a monitor."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._shell = Shell(machine.console)

    @property
    def console(self) -> Console:
        """Its serial line."""
        return self.machine.console

    def run(self, command: str, *, seconds: float = patience.COMMAND, allowed: tuple[int, ...] = (0,)) -> Answer:
        """Run a shell command as root; see `Device`."""
        return self._shell.run(command, seconds=seconds, allowed=allowed)

    def reboot(self) -> str:
        """Reboot as a person would, and return the slot that came up."""
        self.console.send("reboot")
        self._shell.wait_for_restart()
        return self.boot()

    def cut_power(self) -> None:
        """Take the power away."""
        self.machine.cut_power()

    def reset(self) -> None:
        """Press the reset button."""
        self.machine.reset()

    def boot(self) -> str:
        """Switch it on if it is off, wait for its shell, and return the slot that runs."""
        if not self.machine.is_on:
            self.machine.power_on()
        self._shell.attach()
        return booted_slot(self)

    def power_off(self) -> None:
        """Shut it down as a person would, and wait until it is off."""
        self.console.send("poweroff")
        self.machine.wait_until_off()

    def says(self, beginning: str) -> list[str]:
        """Return the lines of the console so far that contain and from there on begin with these words."""
        return self.console.lines(beginning)
