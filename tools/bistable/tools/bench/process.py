"""A device that is a program, such as QEMU, whose serial line is a socket that it inherits."""

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.tools.bench.console import Console
from bistable.tools.bench.errors import MisuseError
from bistable.tools.bench.run import Running, require
from bistable.tools.bench.wires import DescriptorWire

CONSOLE_LOG: Final = "console.log"
PROGRAM_LOG: Final = "program.log"
_LAST: Final = 2000
_END: Final = 10.0
"""Seconds from the end of its line to the end of a program."""


class ProcessHands:
    """The power and the serial line of a program. `command_for` gets the number of a socket, and returns the command.

    In `folder` are the log of the console, and what the program itself says.
    """

    def __init__(self, command_for: Callable[[int], Sequence[str]], folder: Path) -> None:
        self.console: Final = Console(folder / CONSOLE_LOG)
        self._command_for, self._log = command_for, folder / PROGRAM_LOG
        self._program: Running | None = None

    @property
    def is_on(self) -> bool:
        """Whether the program runs."""
        return self._program is not None and self._program.ended() is None

    def power_on(self) -> None:
        """Start the program.

        Raises:
            MisuseError: it runs.
            MachineError: it is not installed, or cannot be started.
        """
        if self.is_on:
            raise MisuseError("cannot switch a machine on that is on")
        # It may have gone off by itself.
        self.power_off()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            command = self._command_for(theirs.fileno())
            require(command[0])
            self._program = Running(command, output=self._log, passed=(theirs.fileno(),))
            self.console.attach(_ProgramWire(ours.detach(), self._program, command[0], self._log))

    def power_off(self) -> None:
        """End the program, at once. It may have ended already."""
        if self._program is not None:
            self._program.kill()
        self.console.detach()
        self._program = None

    def close(self) -> None:
        """End the program."""
        self.power_off()


class _ProgramWire(DescriptorWire):
    """The line of a program. One that fails before it has said a word is a program that was started wrongly."""

    def __init__(self, descriptor: int, program: Running, name: str, log: Path) -> None:
        super().__init__(descriptor)
        self._program, self._name, self._log = program, name, log
        self._spoke = False

    def read(self, seconds: float) -> bytes | None:
        """Return what the program says on its line.

        Raises:
            MachineError: it has failed without a word there.
        """
        data = super().read(seconds)
        self._spoke = self._spoke or bool(data)
        # Only who waits for a word is told; for who reads what is left it is the end.
        if data == b"" and not self._spoke and seconds and (self._program.wait(_END) or 0) > 0:
            raise MachineError(
                f"cannot start {self._name}: it ended at once",
                hint=self._log.read_text("utf-8", "replace")[-_LAST:].strip() or None,
            )
        return data
