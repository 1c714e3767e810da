"""Switches for the power of a device: commands, or a person."""

import os
import shlex
from collections.abc import Callable
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.run import run

_SECONDS: Final = 60.0
"""A socket that is switched over the network answers within seconds."""


class CommandSwitch:
    """Two commands, in words as a shell splits them, that switch on and off.

    Raises:
        RequestError: one of them is none.
    """

    def __init__(self, on: str, off: str) -> None:
        self._on, self._off = _words(on), _words(off)

    def on(self) -> None:
        """Switch on.

        Raises:
            MachineError: the command fails.
        """
        run(self._on, timeout=_SECONDS, variables=os.environ)

    def off(self) -> None:
        """Switch off.

        Raises:
            MachineError: the command fails.
        """
        run(self._off, timeout=_SECONDS, variables=os.environ)


class PersonSwitch:
    """A person who is asked; `ask` shows the words, and returns when it is done."""

    def __init__(self, ask: Callable[[str], None]) -> None:
        self._ask = ask

    def on(self) -> None:
        """Have it switched on."""
        self._ask("Switch the power of the device on.")

    def off(self) -> None:
        """Have it switched off."""
        self._ask("Take the power away from the device: pull the plug, do not shut it down.")


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as e:
        raise RequestError(f"cannot run the command {command!r}: {e}") from e
    if not words:
        raise RequestError("cannot switch the power: the command is empty")
    return words
