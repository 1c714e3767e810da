"""A device on a serial port of this computer, or of another one over the network."""

from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.tools.bench.console import Console
from bistable.tools.bench.hands import Switch


class SerialWire:
    """A serial port: its node, or an address that pyserial knows, such as `socket://lab:4001` or `rfc2217://lab:4001`.

    Raises:
        MachineError: it cannot be opened, another program has it, or pyserial is not installed.
    """

    def __init__(self, port: str, speed: int) -> None:
        try:
            import serial
        except ImportError as e:
            raise MachineError(
                f"cannot open the serial port {port}: pyserial is not installed", hint="pip install 'bistable[boards]'"
            ) from e
        try:
            # Two programs on a port would take each other's bytes away.
            self._port = serial.serial_for_url(port, baudrate=speed, exclusive=True)
        except (serial.SerialException, ValueError) as e:
            raise MachineError(
                f"cannot open the serial port {port}: {e}",
                hint="is it the right one, and does no other program use it?",
            ) from e

    def read(self, seconds: float) -> bytes | None:
        """Return what is there, or comes within so many seconds; None: nothing did; empty: the line has ended."""
        try:
            self._port.timeout = seconds
            data = self._port.read(1)
            return (data + self._port.read(self._port.in_waiting)) if data else None
        except OSError:
            return b""

    def write(self, data: bytes) -> None:
        """Send all of the bytes."""
        self._port.write(data)

    def close(self) -> None:
        """Close the port."""
        self._port.close()


class SerialHands:
    """A serial port, and a switch for the power; `log` gets all that is read."""

    def __init__(self, port: str, speed: int, switch: Switch, log: Path) -> None:
        self.console: Final = Console(log)
        self._port, self._speed, self._switch = port, speed, switch
        self._on = False

    @property
    def is_on(self) -> bool:
        """Whether it was switched on here."""
        return self._on

    def power_on(self) -> None:
        """Open the port, and switch on."""
        # What an earlier cycle has left unread is not of this one.
        self.console.detach()
        self.console.attach(SerialWire(self._port, self._speed))
        self._switch.on()
        self._on = True

    def power_off(self) -> None:
        """Switch off."""
        self._switch.off()
        self._on = False
        self.console.detach()

    def close(self) -> None:
        """Switch off what was switched on here, and close the port."""
        if self._on:
            self.power_off()
        self.console.detach()
