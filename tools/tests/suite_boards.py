"""Simulated boards for tests of the suite: a boot loader, two slots and a client, which may do wrong in chosen ways."""

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

from bistable.tools.bench.console import Console
from bistable.tools.bench.errors import CommandError, LateError
from bistable.tools.bench.shell import Answer
from bistable.tools.board.load import parse_board
from bistable.tools.board.model import Board, Flow
from bistable.tools.bringup.suite import CASES, Journal, Place, PlaceKind, Subject, SuiteResult, Wishes, run_suite
from bistable.tools.bringup.suite.changes import Change
from bistable.tools.bringup.suite.flows import FLOWS

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
RPI_FLOW = Flow.RASPBERRY_PI


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


@dataclass
class Memory:
    """What the boot loader remembers."""

    order: list[str] = field(default_factory=lambda: ["a"])
    good: set[str] = field(default_factory=lambda: {"a"})
    tries: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    seen: bool = False

    def said(self) -> str:
        """Return what a boot script says of it."""
        states = {
            slot: "no" if slot not in self.order else "good" if slot in self.good else str(self.tries[slot])
            for slot in "ab"
        }
        return f"bistable: copies=ok,ok current=0 order={' '.join(self.order)} a={states['a']} b={states['b']}"


@dataclass
class Update:
    """The update in progress."""

    name: str
    target: str
    state: str


class Line(Console):
    """A console on which a simulated board speaks."""

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        self.sent: list[str] = []
        self.tolerated = 0

    def speak(self, *lines: str) -> None:
        """Say lines."""
        self.heard += [(time.monotonic(), f"{line}\n") for line in lines]
        with self.log.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def send(self, line: str) -> None:
        """Take down what is sent."""
        self.sent.append(line)

    @contextmanager
    def tolerating(self, *deaths: str) -> Iterator[None]:
        """Count how many tolerate something."""
        self.tolerated += 1
        yield
        self.tolerated -= 1


class Shelf:
    """Offers of which nothing is built."""

    can_change = True

    def __init__(self) -> None:
        self.changes: dict[str, tuple[Change, ...]] = {}
        self.stalled: str | None = None
        self.reached = False

    def has(self, path: str) -> bool:
        return path != "/etc/systemd/system"

    def offer(self, name: str, *changes: Change) -> str:
        self.changes[name] = changes
        return f"http://10.0.2.2:1/{name}.mender"

    def stall(self, name: str, share: float) -> None:
        self.stalled, self.reached = name, False

    def wait_until_stalled(self, seconds: float) -> bool:
        return self.reached

    def go_on(self) -> None:
        self.stalled = None

    def clear(self) -> None:
        self.changes.clear()


class SimulatedBoard:
    """A device. `faults` are names of what it does wrong."""

    def __init__(self, board: Board, shelf: Shelf, log: Path, faults: frozenset[str]) -> None:
        self.board, self.shelf, self.faults = board, shelf, faults
        self.flow, self.facts = board.boot.flow, FLOWS[board.boot.flow]
        self.console = Line(log)
        self.memory = Memory(order=["b"], good={"b"}) if "born-in-b" in faults else Memory()
        self.elsewhere = Memory(seen="unseen" not in faults and "elsewhere-unnoticed" in faults)
        """What the client reads and writes if it is wrong about the place."""
        self.content: dict[str, str | None] = {"a": None, "b": None}
        self.data: dict[str, str] = {}
        self.update: Update | None = None
        self.last: tuple[str, str] | None = None
        self.artifact = "release-1"
        self.running: str | None = None
        self.tryboot = False
        self.installs = self.boots = 0
        self.committed = False
        """Since the last boot."""
        self.broken: dict[str, tuple[Change, ...]] = {}
        self.installed_at = 0
        self.durable = deepcopy(self.memory)

    # --- the device, as the bench has it

    def boot(self) -> str:
        if "dead" in self.faults:
            raise LateError("waited 500 s for 'login: '", console=self.console.text())
        if self.console.sent and "sysrq" in self.console.sent[-1]:
            self.console.sent.clear()
            if "watchdog-asleep" in self.faults:
                raise LateError("waited 500 s for 'login: '", console=self.console.text())
            self._panic("sysrq triggered crash")
            return self._start()
        return self.running or self._start()

    def reboot(self) -> str:
        self.committed = False
        self.durable = deepcopy(self.memory)
        if "no-tryboot-word" not in self.faults:
            return self._start(word=self.tryboot)
        return self._start()

    def cut_power(self) -> None:
        self.running, self.tryboot = None, False
        if "memory-volatile" in self.faults or ("commit-volatile" in self.faults and self.committed):
            self.memory = deepcopy(self.durable)
        self.committed = False
        if "store-volatile" in self.faults:
            self.update = self.last = None

    def reset(self) -> None:
        self.running = None

    def says(self, beginning: str) -> list[str]:
        return self.console.lines(beginning)

    def run(self, command: str, *, seconds: float = 1.0, allowed: tuple[int, ...] = (0,)) -> Answer:
        status, output = self._answer(command)
        if status not in allowed:
            raise CommandError(f"'{command}' ended with exit status {status}", console=output)
        return Answer(status=status, output=output)

    # --- the boot loader

    def _start(self, *, word: bool = False) -> str:
        self.running = None
        for _ in range(40):
            slot = self._choose(word=word)
            if slot is not None and self._comes_up(slot):
                self.boots += 1
                self.running = slot
                self._client_starts()
                return slot
            word = False
        raise LateError("waited 500 s for 'login: '", console=self.console.text())

    def _choose(self, *, word: bool) -> str | None:
        memory = self.memory
        self.console.speak("U-Boot 2025.01")
        if "unseen" not in self.faults:
            memory.seen = True
        if self.facts.summary and "silent" not in self.faults:
            self.console.speak(memory.said())
        if "stubborn" in self.faults:
            return "a"
        if self.flow is RPI_FLOW and memory.order[0] not in memory.good and not word:
            return next(slot for slot in memory.order if slot in memory.good)
        for slot in memory.order:
            if slot in memory.good:
                return slot
            if memory.tries[slot] > 0 or "never-falls-back" in self.faults:
                if "counts-nothing" not in self.faults:
                    memory.tries[slot] = max(0, memory.tries[slot] - 1)
                if "gives-up-early" in self.faults:
                    memory.tries[slot] = 0
                if "takes-trial-for-good" in self.faults:
                    memory.good.add(slot)
                return slot
        return None

    def _comes_up(self, slot: str) -> bool:
        broken = [change.path for change in self.broken.get(self.content[slot] or "", ())]
        if str(self.board.boot.kernel) in broken:
            if "waits-in-loader" in self.faults:
                raise LateError("waited 500 s for 'login: '", console=self.console.text())
            self.console.speak(f"bistable: slot {slot} cannot be loaded")
            return False
        self.console.speak("[    0.000000] Linux version 6.1")
        if "/sbin/init" in broken:
            if "panic-stays" in self.faults:
                raise LateError("waited 500 s for 'login: '", console=self.console.text())
            self._panic("Attempted to kill init!")
            return False
        return True

    def _panic(self, why: str) -> None:
        self.console.speak(f"Kernel panic - not syncing: {why}")

    # --- the client

    @property
    def env(self) -> Memory:
        """What the client takes for the boot loader's memory."""
        return self.elsewhere if self.faults & {"elsewhere", "elsewhere-unnoticed"} else self.memory

    @property
    def other(self) -> str:
        return "b" if self.running == "a" else "a"

    def _client_starts(self) -> None:
        if self.flow is Flow.CUSTOM and self.update is None:
            self.env.good.add(self.running or "")

    def _recover(self) -> None:
        update = self.update
        if update is None:
            return
        if update.state == "installing":
            self._end("failure")
        elif update.state in {"reboot", "paused-before-commit"} and self.running != update.target:
            self._restore()
            self._end("success" if "client-forgets" in self.faults else "failure")
        elif update.state == "reboot" and self.boots > self.installed_at:
            update.state = "paused-before-commit"
        elif update.state == "rollback-reboot" and self.running != update.target:
            self._end("rolled-back")

    def _end(self, result: str) -> None:
        assert self.update is not None
        self.last, self.update = (self.update.name, result), None

    def _restore(self) -> None:
        keep = next(slot for slot in "ab" if self.update is None or slot != self.update.target)
        self.env.order, self.tryboot = [keep], False
        self.env.good &= {keep}

    def _install(self, url: str) -> tuple[int, dict[str, object]]:
        name = url.rsplit("/", 1)[-1].removesuffix(".mender")
        self._recover()
        if not self.env.seen and "mark-ignored" not in self.faults and self.flow is not Flow.CUSTOM:
            return 1, {"result": "failure", "error": {"code": "boot", "what": "the boot script has not left its mark"}}
        self.installs += 1
        if "wears-out" in self.faults and self.installs > 15:
            return 1, {"result": "failure", "error": {"code": "slot", "what": "cannot write"}}
        if "one-way" in self.faults and self.running == "b":
            return 1, {"result": "failure", "error": {"code": "slot", "what": "cannot write"}}
        target, env = self.other, self.env
        self.update = Update(name=name, target=target, state="installing")
        if "never-forbids" not in self.faults:
            env.order = [slot for slot in env.order if slot != target]
            env.good.discard(target)
        self.content[target] = name
        self.broken[name] = self.shelf.changes[name]
        if self.shelf.stalled == name:
            self.shelf.reached = True
            return 0, {}
        env.order, env.tries[target] = [target, self.running or "a"], self.tries
        env.good.discard(target)
        self.tryboot = True
        self.update.state, self.installed_at = "reboot", self.boots
        return 0, {"result": None, "error": None, "reboot_required": True}

    @property
    def tries(self) -> int:
        return self.board.boot.tries if self.facts.counts else 1

    def _commit(self) -> tuple[int, dict[str, object]]:
        self._recover()
        update = self.update
        if update is None or self.running != update.target:
            return 1, {"result": "failure", "error": {"code": "not-booted", "what": "it was not booted"}}
        self.durable = deepcopy(self.memory)
        if "commit-in-vain" not in self.faults:
            self.env.good.add(update.target)
        if "goes-back" in self.faults:
            self.memory.order.reverse()
            self.memory.good = {self.memory.order[0], update.target}
        self.artifact, self.tryboot, self.committed = update.name, False, True
        self._end("success")
        return 0, {"result": "success", "error": None}

    def _undo(self, result: str) -> tuple[int, dict[str, object]]:
        update = self.update
        if update is None:
            return 2, {"error": {"code": "no-update", "what": "there is none"}}
        self._restore()
        if self.running == update.target:
            update.state = "rollback-reboot"
            return 0, {"result": None, "error": None, "reboot_required": True}
        self._end(result)
        return 0, {"result": result, "error": None}

    def _status(self) -> dict[str, object]:
        env = self.env
        counts = self.facts.counts
        state = {
            slot: {
                "device": f"/dev/vda{3 if slot == 'a' else 4}",
                "bootable": slot in env.order,
                "good": slot in env.good and slot in env.order,
                "tries_left": env.tries[slot] if counts and slot not in env.good else None,
            }
            for slot in "ab"
        }
        primary = next((slot for slot in env.order if slot in env.good or env.tries[slot]), env.order[0])
        if "never-falls-back" in self.faults:
            primary = env.order[0]
        slots = None if "unreadable" in self.faults else {"running": self.running, "next": primary, "state": state}
        update = self.update
        return {
            "artifact": self.artifact,
            "device_type": "beech" if "wrong-type" in self.faults else "acorn",
            "slots": slots,
            "update": None if update is None else {"state": update.state, "at_work": False},
            "last": None if self.last is None else {"artifact": self.last[0], "result": self.last[1]},
        }

    def _doctor(self) -> tuple[int, dict[str, object]]:
        found: list[dict[str, str | None]] = []
        if not self.env.seen and self.flow is not Flow.CUSTOM:
            what = "cannot rely on the boot loader's environment"
            found.append({"area": "boot loader", "grade": "bad", "what": what, "hint": "name the same place"})
        if "doubtful" in self.faults:
            found.append({"area": "clock", "grade": "doubt", "what": "it shows 1970", "hint": None})
        return int(any(one["grade"] == "bad" for one in found)), {"findings": found}

    # --- what is run on it

    def _answer(self, command: str) -> tuple[int, str]:
        if "is-system-running" in command:
            return 0, ""
        if command == "bistablectl --version":
            return 0, "bistablectl 0.1.0"
        if match := re.match(r"\( bistablectl install (\S+) >", command):
            self._install(match[1])
            return 0, ""
        if command.startswith("bistablectl status 2>&1"):
            return 0, "running slot: unknown"
        if command.startswith("bistablectl "):
            status, document = self._ctl(shlex.split(command.split(" 2>/run/stderr")[0])[1:])
            return status, json.dumps(document)
        if command.startswith("cat /etc/bistable-conformance"):
            shown = "a" if "wrong-root" in self.faults else self.running
            found = self.content[shown or "a"]
            return (0, found) if found else (1, "")
        if command.startswith("fw_setenv bistable_seen 0") or "s/^bistable_seen=1/" in command:
            self.env.seen = False
            return 0, ""
        return self._look(command)

    def _look(self, command: str) -> tuple[int, str]:
        if match := re.match(r"mkdir -p /data/bistable && echo (\S+) >(\S+) && sync(.*)", command):
            if "data-read-only" in self.faults:
                return 1, "Read-only file system"
            if not match[3]:
                self.data[self.running or "" if "data-in-slot" in self.faults else ""] = match[1]
            return 0, match[1]
        if command == "cat /data/bistable/conformance-note":
            found = self.data.get(self.running or "" if "data-in-slot" in self.faults else "")
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

    def _ctl(self, words: list[str]) -> tuple[int, Mapping[str, object]]:
        assert words[-1] == "--json"
        match words[:-1]:
            case ["status"]:
                return 0, self._status()
            case ["recover"]:
                self._recover()
                return 0, {"result": None, "error": None}
            case ["doctor"]:
                return self._doctor()
            case ["config", "--all"]:
                copies = '["PARTLABEL=boot-env@0", "PARTLABEL=boot-env@0x100000"]'
                return 0, {
                    "settings": {
                        "device.data-dir": {"value": "/data/bistable"},
                        "boot.grub-copies": {"value": copies},
                    }
                }
            case ["install", url, *_more]:
                return self._install(url)
            case ["commit"]:
                return self._commit()
            case ["rollback"]:
                return self._undo("rolled-back")
            case ["abort", "--reason", _why]:
                return self._undo("aborted")
            case _:
                raise AssertionError(f"a simulated client knows no {words}")


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
