"""What can go wrong with a machine on the bench, by whose fault it is.

That this computer lacks something (QEMU, a package, room on the disk) is `bistable.artifact.errors.MachineError`.
"""

from pathlib import Path
from typing import ClassVar, Final

from bistable.artifact.errors import BistableError, RequestError

SHOWN_LINES: Final = 60


class MisuseError(RequestError):
    """The caller is wrong: it asks for something that no machine could do."""


class MisbehavedError(BistableError):
    """The booted machine did something else than it should have; the end of its console goes with it."""

    exit_code: ClassVar[int] = 7

    def __init__(self, what: str, *, console: str, log: Path | None = None) -> None:
        lines = console.splitlines()[-SHOWN_LINES:]
        where = f"the whole log is {log}\n" if log else ""
        super().__init__(what, hint=f"{where}the console ends with:\n" + "\n".join(f"  | {line}" for line in lines))
        self.console = console

    def __str__(self) -> str:
        """Return all of it: what a failed test shows is this."""
        return f"{self.what}\n{self.hint}"


class DeathError(MisbehavedError):
    """The console showed what no healthy machine says: a panic, an exception of the firmware."""


class LateError(MisbehavedError):
    """What was waited for did not come in time."""


class GoneError(MisbehavedError):
    """The serial line ended: QEMU ended by itself, or the adapter was taken away."""


class CommandError(MisbehavedError):
    """A command on the device ended with an exit status that was not expected."""
