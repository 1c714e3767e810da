"""A device under test, as far as tests care: its root shell, its slots and its client; a machine in QEMU or a board."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final, Protocol

from bistable.tools.bench import patience
from bistable.tools.bench.console import Console
from bistable.tools.bench.errors import CommandError
from bistable.tools.bench.hands import Hands
from bistable.tools.bench.shell import Answer, Login, Shell

_SLOT: Final = re.compile(r"\bbistable\.slot=(\w+)")
_ANY: Final = tuple(range(256))


class Device(Protocol):
    """A device that boots one of two slots."""

    @property
    def console(self) -> Console:
        """Its serial line."""

    def run(self, command: str, *, seconds: float = patience.COMMAND, allowed: tuple[int, ...] = (0,)) -> Answer:
        """Run a shell command as root.

        Raises:
            CommandError: its exit status is not among the allowed ones.
        """

    def reboot(self) -> str:
        """Reboot as a person would, and return the slot that came up."""

    def cut_power(self) -> None:
        """Take the power away. `boot` brings it back."""

    def reset(self) -> None:
        """Have it start anew, whatever it does: press its button, or take the power away and bring it back."""

    def boot(self) -> str:
        """Switch it on if it is off, wait for its shell, and return the slot that runs."""

    def says(self, beginning: str) -> list[str]:
        """Return the lines of the console so far that contain and from there on begin with these words."""


class LineDevice:
    """A device of which there are the power and the serial line, and nothing else."""

    def __init__(self, hands: Hands, login: Login | None = None) -> None:
        self._hands = hands
        self._shell = Shell(hands.console, login)

    @property
    def console(self) -> Console:
        """Its serial line."""
        return self._hands.console

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
        self._hands.power_off()

    def reset(self) -> None:
        """Take the power away, and bring it back."""
        self._hands.power_off()
        self._hands.power_on()

    def boot(self) -> str:
        """Switch it on if it is off, wait for its shell, and return the slot that runs."""
        if not self._hands.is_on:
            self._hands.power_on()
        self._shell.attach()
        return booted_slot(self)

    def says(self, beginning: str) -> list[str]:
        """Return the lines of the console so far that contain and from there on begin with these words."""
        return self.console.lines(beginning)


def booted_slot(device: Device) -> str:
    """Return the slot that the kernel was told it runs from, or else the one that the client says.

    Raises:
        CommandError: neither is known.
    """
    answer = device.run("cat /proc/cmdline")
    found = _SLOT.search(answer.output)
    if found is not None:
        return found[1]
    # A boot loader of the vendor tells the kernel nothing; the handler asks it.
    slots = bistablectl(device, "status", allowed=_ANY).get("slots")
    if not slots or not slots.get("running"):
        raise CommandError(
            "no boot script has told the kernel its slot, nor does the client know", console=answer.output
        )
    return str(slots["running"])


def bistablectl(
    device: Device, *words: str, seconds: float = patience.COMMAND, allowed: tuple[int, ...] = (0,)
) -> Mapping[str, Any]:
    """Run `bistablectl WORDS --json` on the device, and return what it wrote; empty if that was nothing.

    Raises:
        CommandError: its exit status is not among the allowed ones, or it wrote no JSON.
    """
    command = shlex.join(["bistablectl", *words, "--json"])
    answer = device.run(
        f"{command} 2>/run/stderr || {{ s=$?; cat /run/stderr >&2; exit $s; }}", seconds=seconds, allowed=allowed
    )
    if not answer.output.strip():
        return {}
    try:
        document = json.loads(answer.output[: answer.output.rindex("}") + 1])
    except ValueError as e:
        raise CommandError(f"'{command}' wrote no JSON", console=answer.output) from e
    assert isinstance(document, dict)
    return document
