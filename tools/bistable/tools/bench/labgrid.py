"""A device that labgrid leads: a real board on its serial line and power switch, or a machine in QEMU.

labgrid itself is not imported here: what is needed of its drivers are the two protocols below.
"""

import re
from pathlib import Path
from typing import Final, Protocol

import pexpect

from bistable.tools.bench import patience
from bistable.tools.bench.console import DEATHS, ESCAPES
from bistable.tools.bench.device import Answer, Shell, booted_slot
from bistable.tools.bench.errors import DeathError, LateError
from bistable.tools.bench.patience import scaled


class Line(Protocol):
    """What is needed of a driver with labgrid's ConsoleProtocol."""

    def sendline(self, line: str) -> None:
        """Send a line."""

    def expect(self, pattern: list[re.Pattern[bytes]], timeout: float) -> tuple[int, bytes, "re.Match[bytes]", bytes]:
        """Wait for one of the patterns; return its number, what came before, the match, and what matched."""


class Power(Protocol):
    """What is needed of a driver with labgrid's PowerProtocol."""

    def on(self) -> None:
        """Switch on."""

    def off(self) -> None:
        """Switch off, at once."""


class BoardConsole:
    """The serial line of a board; `log` gets all that was read from it."""

    def __init__(self, line: Line, log: Path) -> None:
        self._line = line
        self._before = ""
        self.where: Final = log
        log.touch()

    @property
    def before(self) -> str:
        """Return what came before the last match."""
        return self._before

    def send(self, line: str) -> None:
        """Send a line."""
        self._line.sendline(line)

    def expect(self, wanted: str | re.Pattern[str], *, seconds: float) -> re.Match[str]:
        """Wait until the console says it, a text or a pattern, and return what matched.

        Raises:
            DeathError: it said instead that it died.
            LateError: it did not come in time.
        """
        text = wanted if isinstance(wanted, str) else wanted.pattern
        pattern = re.escape(wanted) if isinstance(wanted, str) else wanted.pattern
        patterns = [re.compile(one.encode()) for one in (pattern, *map(re.escape, DEATHS))]
        try:
            found, before, match, _ = self._line.expect(patterns, timeout=scaled(seconds))
        except pexpect.TIMEOUT as e:
            raise LateError(f"waited {scaled(seconds):g} s for {text!r}", console=self.text(), log=self.where) from e
        self._before = before.decode("utf-8", "replace")
        said = match[0].decode("utf-8", "replace")
        with self.where.open("a", encoding="utf-8", newline="") as file:
            file.write(self._before + said)
        if found:
            raise DeathError(f"the board died: {said!r}, waiting for {text!r}", console=self.text(), log=self.where)
        whole = re.compile(pattern).search(said)
        assert whole is not None
        return whole

    def text(self) -> str:
        """Return all that was read, without control characters."""
        return ESCAPES.sub("", self.where.read_text("utf-8", "replace"))


class Board:
    """A board as a device under test. Its system shows the same mark before its root shell as the harness's own."""

    def __init__(self, line: Line, power: Power, *, folder: Path) -> None:
        self.console = BoardConsole(line, folder / "console.log")
        self._power = power
        self._shell = Shell(self.console)
        self._on = False

    def run(self, command: str, *, seconds: float = patience.COMMAND, allowed: tuple[int, ...] = (0,)) -> Answer:
        """Run a shell command as root; see `Device`."""
        return self._shell.run(command, seconds=seconds, allowed=allowed)

    def reboot(self) -> str:
        """Reboot as a person would, and return the slot that came up."""
        self.console.send("reboot")
        return self.boot()

    def cut_power(self) -> None:
        """Take the power away."""
        self._power.off()
        self._on = False

    def boot(self) -> str:
        """Switch it on if it is off, wait for its shell, and return the slot that runs."""
        if not self._on:
            self._power.on()
            self._on = True
        self._shell.attach()
        return booted_slot(self)

    def says(self, beginning: str) -> list[str]:
        """Return the lines of the console so far that contain and from there on begin with these words."""
        return [
            line[line.index(beginning) :].rstrip() for line in self.console.text().splitlines() if beginning in line
        ]
