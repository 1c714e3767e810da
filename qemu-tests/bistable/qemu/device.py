"""A device under test that is a machine in QEMU."""

from bistable.qemu.machine import Machine
from bistable.tools.bench.device import LineDevice


class QemuDevice(LineDevice):
    """A device that is a machine in QEMU: it has a reset button, and it is seen when it goes off."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.machine = machine

    def reset(self) -> None:
        """Press the reset button."""
        self.machine.reset()

    def shut_down(self) -> None:
        """Shut it down as a person would, and wait until it is off."""
        self.console.send("poweroff")
        self.machine.wait_until_off()
