"""Simulated boot loaders for tests of the suite: what one remembers, which slot it starts, and the console it uses."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from bistable.tools.bench.console import Console
from bistable.tools.bench.errors import LateError
from bistable.tools.board.model import Board, Flow
from bistable.tools.bringup.suite.flows import FLOWS


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


class Loader:
    """A boot loader and the slots from which it starts. `faults` are names of what it does wrong."""

    def __init__(self, board: Board, log: Path, faults: frozenset[str]) -> None:
        self.board, self.faults = board, faults
        self.flow, self.facts = board.boot.flow, FLOWS[board.boot.flow]
        self.console = Line(log)
        self.memory = Memory(order=["b"], good={"b"}) if "born-in-b" in faults else Memory()
        self.durable = deepcopy(self.memory)
        self.content: dict[str, str | None] = {"a": None, "b": None}
        self.broken: dict[str, tuple[str, ...]] = {}
        """Files that are broken in a release."""
        self.running: str | None = None
        self.tryboot = False
        self.boots = 0

    def start(self, *, word: bool = False) -> str:
        self.running = None
        for _ in range(40):
            slot = self._choose(word=word)
            if slot is not None and self._comes_up(slot):
                self.boots += 1
                self.running = slot
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
        if self.flow is Flow.RASPBERRY_PI and memory.order[0] not in memory.good and not word:
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
        broken = self.broken.get(self.content[slot] or "", ())
        if str(self.board.boot.kernel) in broken:
            if "waits-in-loader" in self.faults:
                raise LateError("waited 500 s for 'login: '", console=self.console.text())
            self.console.speak(f"bistable: slot {slot} cannot be loaded")
            return False
        self.console.speak("[    0.000000] Linux version 6.1")
        if "/sbin/init" in broken:
            if "panic-stays" in self.faults:
                raise LateError("waited 500 s for 'login: '", console=self.console.text())
            self.panic("Attempted to kill init!")
            return False
        return True

    def panic(self, why: str) -> None:
        self.console.speak(f"Kernel panic - not syncing: {why}")
