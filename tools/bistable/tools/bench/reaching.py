"""A root shell on a device that runs already, by whatever way there is to it; it is left as it was found."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bistable.tools.bench.console import Console
from bistable.tools.bench.errors import MisbehavedError
from bistable.tools.bench.labgrid import LabgridHands
from bistable.tools.bench.serial import SerialWire
from bistable.tools.bench.shell import Login, Shell
from bistable.tools.bench.ssh import SshShell

CONSOLE_LOG: Final = "console.log"


def over_ssh(destination: str, options: Sequence[str] = ()) -> SshShell:
    """Return the shell; the first command connects."""
    return SshShell(destination, options)


@contextmanager
def over_serial(port: str, speed: int, login: Login) -> Iterator[Shell]:
    """Give the shell on a serial port.

    Raises:
        MachineError: the port cannot be opened.
        MisbehavedError: nobody answers on it.
    """
    with _logged() as log:
        console = Console(log)
        console.attach(SerialWire(port, speed))
        try:
            with _joined(console, login) as shell:
                yield shell
        finally:
            console.detach()


@contextmanager
def over_labgrid(environment: Path, login: Login) -> Iterator[Shell]:
    """Give the shell on the console of labgrid's target `main`, which is on and is left on.

    Raises:
        MachineError: labgrid cannot lead it.
        MisbehavedError: nobody answers on it.
    """
    with _logged() as log:
        hands = LabgridHands(environment, log)
        hands.listen()
        try:
            with _joined(hands.console, login) as shell:
                yield shell
        finally:
            hands.close()


@contextmanager
def _joined(console: Console, login: Login) -> Iterator[Shell]:
    shell = Shell(console, login)
    shell.join()
    try:
        yield shell
    finally:
        shell.release()


@contextmanager
def _logged() -> Iterator[Path]:
    """Give the place of a log, which is kept if the device does what it should not: the error names it."""
    folder = Path(tempfile.mkdtemp(prefix="bistable-"))
    keep = False
    try:
        yield folder / CONSOLE_LOG
    except MisbehavedError:
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(folder)
