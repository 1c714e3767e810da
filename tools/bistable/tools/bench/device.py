"""A device under test, as far as tests care: its root shell, its slots and its client; a machine in QEMU or a board."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from bistable.tools.bench import patience
from bistable.tools.bench.errors import CommandError

SHELL_READY: Final = "bistable-shell: ready"
"""What the serial line says before a root shell listens there."""

_SLOT: Final = re.compile(r"\bbistable\.slot=(\w+)")

_TALK: Final = (
    "stty -echo -onlcr cols 4000; dmesg -n 1; "
    """exec /bin/sh -c 'while IFS= read -r line; do eval "$line"; done'"""
)
"""Replaces the shell by one without prompt, echo and line editing: then only commands and answers are on the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said, stdout and stderr together, and its exit status."""

    status: int
    output: str


class Device(Protocol):
    """A device that boots one of two slots."""

    def run(self, command: str, *, seconds: float = patience.COMMAND, allowed: tuple[int, ...] = (0,)) -> Answer:
        """Run a shell command as root.

        Raises:
            CommandError: its exit status is not among the allowed ones.
        """

    def reboot(self) -> str:
        """Reboot as a person would, and return the slot that came up."""

    def cut_power(self) -> None:
        """Take the power away. `boot` brings it back."""

    def boot(self) -> str:
        """Switch it on if it is off, wait for its shell, and return the slot that runs."""

    def says(self, beginning: str) -> list[str]:
        """Return the lines of the console so far that begin with these words."""


class Talk(Protocol):
    """A serial line, as far as a shell on it cares; `Console` is one."""

    @property
    def before(self) -> str:
        """What came before the last match."""

    @property
    def where(self) -> Path | None:
        """The file with all that was said, if there is one."""

    def expect(self, wanted: str | re.Pattern[str], *, seconds: float) -> re.Match[str]:
        """Wait for a text or a pattern."""

    def send(self, line: str) -> None:
        """Send a line."""


class Shell:
    """A root shell on a serial line."""

    def __init__(self, console: Talk) -> None:
        self._console = console
        self._number = 0

    def attach(self) -> None:
        """Wait for a shell, and make it one for programs."""
        self._console.expect(SHELL_READY, seconds=patience.BOOT)
        self._console.send(_TALK)
        self.run("true")

    def run(self, command: str, *, seconds: float = patience.COMMAND, allowed: tuple[int, ...] = (0,)) -> Answer:
        """Run a command between two marks that no other command has."""
        self._number += 1
        begin, end = f"<<{self._number}", re.compile(rf"{self._number}:(\d+)>>\n")
        self._console.send(f'echo "{begin}"; (eval {shlex.quote(command)}) </dev/null 2>&1; echo "{self._number}:$?>>"')
        self._console.expect(f"{begin}\n", seconds=patience.COMMAND)
        found = self._console.expect(end, seconds=seconds)
        answer = Answer(status=int(found[1]), output=self._console.before.replace("\r", "").rstrip("\n"))
        if answer.status not in allowed:
            raise CommandError(
                f"'{command}' ended with exit status {answer.status}", console=answer.output, log=self._console.where
            )
        return answer


def booted_slot(device: Device) -> str:
    """Return the slot that the kernel was told it runs from.

    Raises:
        CommandError: it was not told.
    """
    answer = device.run("cat /proc/cmdline")
    found = _SLOT.search(answer.output)
    if found is None:
        raise CommandError("no boot script has told the kernel its slot", console=answer.output)
    return found[1]


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
