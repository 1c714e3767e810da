"""Simulated boards for tests of the suite: a boot loader, two slots and a client, which may do wrong in chosen ways."""

import json
import re
import shlex
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from suite_clients import Client, Shelf
from suite_loaders import Loader

from bistable.tools.bench.errors import CommandError, LateError
from bistable.tools.bench.shell import Answer
from bistable.tools.board.load import parse_board
from bistable.tools.board.model import Board, Flow
from bistable.tools.bringup.suite import CASES, Journal, Place, PlaceKind, Subject, SuiteResult, Wishes, run_suite

BOARD = """
[board]
name = "Acorn"
soc = "Oak 1"
page = "https://example.com/acorn"
status = "checked"
[device]
type = "acorn"
[storage]
kind = "virtio"
device = "/dev/vda"
capacity = "4 GiB"
[boot]
loader = "LOADER"
architecture = "ARCHITECTURE"
kernel = "/boot/zImage"
arguments = "console=ttyS0 panic=10"
[boot-partition]
size = "64 MiB"
[slots]
size = "64 MiB"
[data]
size = "32 MiB"
[console]
device = "ttyS0"
[watchdog]
driver = "acorn-wdt"
timeout = 30
[sources]
facts = "https://example.com/acorn"
"""

ARCHITECTURES = {
    "uboot": "armhf",
    "uboot-environment": "armhf",
    "grub": "amd64",
    "systemd-boot": "amd64",
    "efi": "amd64",
    "raspberry-pi": "arm64",
}
UBOOT = """
[uboot]
defconfig = "acorn_defconfig"
source = "https://example.com/u-boot.git"
version = "v2025.01"
"""


def board_of(flow: Flow) -> Board:
    """Return a board with this boot flow."""
    if flow is Flow.CUSTOM:
        # Of the vendor's storage the suite asks nothing that the simulated board could not answer.
        found = board_of(Flow.UBOOT)
        return replace(found, layout=None, boot=replace(found.boot, flow=flow))
    text = BOARD.replace("LOADER", flow.value).replace("ARCHITECTURE", ARCHITECTURES[flow.value])
    if flow.value.startswith("uboot"):
        text += UBOOT
    return parse_board(text.encode(), Path("/nowhere/acorn"))


class SimulatedBoard:
    """A device. `faults` are names of what it does wrong."""

    def __init__(self, board: Board, shelf: Shelf, log: Path, faults: frozenset[str]) -> None:
        self.flow, self.faults = board.boot.flow, faults
        self.loader = Loader(board, log, faults)
        self.client = Client(self.loader, shelf, faults)
        self.console = self.loader.console
        self.data: dict[str, str] = {}

    # --- the device, as the bench has it

    def boot(self) -> str:
        if "dead" in self.faults:
            raise LateError("waited 500 s for 'login: '", console=self.console.text())
        if self.console.sent and "sysrq" in self.console.sent[-1]:
            self.console.sent.clear()
            if "watchdog-asleep" in self.faults:
                raise LateError("waited 500 s for 'login: '", console=self.console.text())
            self.loader.panic("sysrq triggered crash")
            return self._start()
        return self.loader.running or self._start()

    def reboot(self) -> str:
        self.client.committed = False
        self.loader.durable = deepcopy(self.loader.memory)
        if "no-tryboot-word" not in self.faults:
            return self._start(word=self.loader.tryboot)
        return self._start()

    def cut_power(self) -> None:
        self.loader.running, self.loader.tryboot = None, False
        if "memory-volatile" in self.faults or ("commit-volatile" in self.faults and self.client.committed):
            self.loader.memory = deepcopy(self.loader.durable)
        self.client.committed = False
        if "store-volatile" in self.faults:
            self.client.update = self.client.last = None

    def reset(self) -> None:
        self.loader.running = None

    def says(self, beginning: str) -> list[str]:
        return self.console.lines(beginning)

    def run(self, command: str, *, seconds: float = 1.0, allowed: tuple[int, ...] = (0,)) -> Answer:
        status, output = self._answer(command)
        if status not in allowed:
            raise CommandError(f"'{command}' ended with exit status {status}", console=output)
        return Answer(status=status, output=output)

    def _start(self, *, word: bool = False) -> str:
        slot = self.loader.start(word=word)
        self.client.starts()
        return slot

    # --- what is run on it

    def _answer(self, command: str) -> tuple[int, str]:
        if "is-system-running" in command:
            return 0, ""
        if command == "bistablectl --version":
            return 0, "bistablectl 0.1.0"
        if match := re.match(r"\( bistablectl install (\S+) >", command):
            self.client.install(match[1])
            return 0, ""
        if command.startswith("bistablectl status 2>&1"):
            return 0, "running slot: unknown"
        if command.startswith("bistablectl "):
            status, document = self.client.answer(shlex.split(command.split(" 2>/run/stderr")[0])[1:])
            return status, json.dumps(document)
        if command.startswith("cat /etc/bistable-conformance"):
            shown = "a" if "wrong-root" in self.faults else self.loader.running
            found = self.loader.content[shown or "a"]
            return (0, found) if found else (1, "")
        if command.startswith("fw_setenv bistable_seen 0") or "s/^bistable_seen=1/" in command:
            self.client.env.seen = False
            return 0, ""
        return self._look(command)

    def _look(self, command: str) -> tuple[int, str]:
        if match := re.match(r"mkdir -p /data/bistable && echo (\S+) >(\S+) && sync(.*)", command):
            if "data-read-only" in self.faults:
                return 1, "Read-only file system"
            if not match[3]:
                self.data[self.loader.running or "" if "data-in-slot" in self.faults else ""] = match[1]
            return 0, match[1]
        if command == "cat /data/bistable/conformance-note":
            found = self.data.get(self.loader.running or "" if "data-in-slot" in self.faults else "")
            return (0, found) if found else (1, "No such file")
        if command.startswith("stat -c %d"):
            return 0, "1 1" if "data-in-slot" in self.faults else "2 1"
        if command.startswith("name=$(basename"):
            number = 3 if "vda3" in command else 4
            # Without a partition for an environment they come earlier, on a Raspberry Pi behind three others.
            shift = {"grub": 0, "uboot": 0, "uboot-environment": 0, "raspberry-pi": 1}.get(self.flow.value, -1)
            size = (64 << 20) // 512
            return 0, f"{number + shift + ('wrong-partition' in self.faults)}\n{size - ('small-slot' in self.faults)}"
        if command == "test -w /proc/sysrq-trigger":
            return ("no-sysrq" in self.faults), ""
        if command.startswith("cat /sys/class/watchdog/watchdog0/identity"):
            return 0, "Software Watchdog" if "softdog" in self.faults else "acorn timer"
        if command.startswith("test -c /dev/watchdog0"):
            return 0, "there is no /dev/watchdog0" if "no-watchdog" in self.faults else "armed"
        if command == "cat /run/conformance-install":
            return 0, "cannot fetch"
        raise AssertionError(f"a simulated board knows no {command!r}")


def run_on(
    folder: Path,
    *faults: str,
    flow: Flow = Flow.UBOOT,
    kind: PlaceKind = PlaceKind.QEMU,
    cases: tuple[str, ...] = tuple(CASES),
    cuts: int = 5,
    change: Callable[[Board], Board] = lambda board: board,
    shelf: Shelf | None = None,
) -> SuiteResult:
    """Run the suite on a simulated board with these faults, and return what came of it."""
    board, shelf = change(board_of(flow)), shelf or Shelf()
    device = SimulatedBoard(board, shelf, folder / "console.log", frozenset(faults))
    place = Place(kind=kind, what="simulated", is_new=True)
    subject = Subject(board, device, shelf, place, journal=Journal(), wishes=Wishes(updates=3, cuts=cuts))
    return run_suite(subject, [CASES[name] for name in cases])
