"""A device that labgrid leads: a real board with its serial line and power switch, or a machine in QEMU."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from bistable.artifact.errors import BistableError, MachineError, RequestError
from bistable.tools.bench.console import Console

TARGET: Final = "main"
_CONSOLE: Final = "cannot use the console that labgrid leads"
_OFF: Final = "a device that labgrid leads has to be on: is it?"


class Line(Protocol):
    """What is needed of a driver with labgrid's ConsoleProtocol."""

    def read(self, size: int = 1, timeout: float = 0.0) -> bytes:
        """Return at least so many bytes, as soon as they are there; pexpect's TIMEOUT if they are not in time."""

    def write(self, data: bytes) -> object:
        """Send bytes."""


class Power(Protocol):
    """What is needed of a driver with labgrid's PowerProtocol."""

    def on(self) -> None:
        """Switch on."""

    def off(self) -> None:
        """Switch off, at once."""


class LabgridWire:
    """A console of labgrid as a wire. labgrid has it: it is not closed here."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def read(self, seconds: float) -> bytes | None:
        """Return what is there, or comes within so many seconds; None: nothing did; empty: the line has ended."""
        # labgrid cannot be without it.
        from pexpect import TIMEOUT

        with _leading(_CONSOLE, hint=_OFF):
            try:
                return self._line.read(timeout=seconds)
            except TIMEOUT:
                return None
            except OSError:
                return b""

    def write(self, data: bytes) -> None:
        """Send all of the bytes."""
        with _leading(_CONSOLE, hint=_OFF):
            self._line.write(data)

    def close(self) -> None:
        """Leave it to labgrid."""


class LabgridHands:
    """The target `main` of an environment file of labgrid; `log` gets all that is read from its console.

    Raises:
        MachineError: labgrid is not installed, or cannot lead the target.
    """

    def __init__(self, environment: Path, log: Path) -> None:
        try:
            labgrid: Any = import_module("labgrid")
        except ImportError as e:
            raise MachineError("cannot lead the device: labgrid is not installed", hint="pip install labgrid") from e
        self.console: Final = Console(log)
        self._file, self._on = environment, False
        with _leading(f"cannot lead the device of {environment}"):
            self._environment: Any = labgrid.Environment(str(environment))
            target: Any = self._environment.get_target(TARGET)
            if target is None:
                raise MachineError(f"cannot lead the device of {environment}: it has no target '{TARGET}'")
            self._power: Power = target.get_driver("PowerProtocol")
            self._line: Line = target.get_driver("ConsoleProtocol")

    @property
    def is_on(self) -> bool:
        """Whether it was switched on here."""
        return self._on

    def option(self, name: str, default: str | None = None) -> str:
        """Return an option of the target in the environment file.

        Raises:
            RequestError: it is not there, and there is no default.
        """
        try:
            return str(self._environment.config.get_target_option(TARGET, name, default))
        except KeyError as e:
            raise RequestError(f"cannot use {self._file}: its target '{TARGET}' has no option {name}") from e

    def listen(self) -> None:
        """Listen to its console, whether it is on or not."""
        self.console.attach(LabgridWire(self._line))

    def power_on(self) -> None:
        """Switch on, and listen. Not the other way round: the console of a machine in QEMU is there when it is on."""
        # What an earlier cycle has left unread is not of this one.
        self.console.detach()
        with _leading("cannot switch the device on"):
            self._power.on()
        self._on = True
        self.listen()

    def power_off(self) -> None:
        """Switch off, at once."""
        self.console.detach()
        with _leading("cannot switch the device off"):
            self._power.off()
        self._on = False

    def close(self) -> None:
        """Switch off what was switched on here, and give all back to labgrid."""
        if self._on:
            self.power_off()
        self.console.detach()
        with _leading("cannot give the device back"):
            self._environment.cleanup()


@contextmanager
def _leading(what: str, *, hint: str | None = None) -> Iterator[None]:
    try:
        yield
    except BistableError:
        raise
    # What labgrid, its drivers and the libraries under them raise has no root but this.
    except Exception as e:
        raise MachineError(f"{what}: {type(e).__name__}: {e}", hint=hint) from e
