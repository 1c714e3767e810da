"""Simulated clients for tests of the suite: what one does to slots and boot loader, and the shelf of its updates."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

from suite_loaders import Loader, Memory

from bistable.tools.board.model import Flow
from bistable.tools.bringup.suite.changes import Change


@dataclass
class Update:
    """The update in progress."""

    name: str
    target: str
    state: str


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


class Client:
    """A client on a device with this boot loader. `faults` are names of what it does wrong."""

    def __init__(self, loader: Loader, shelf: Shelf, faults: frozenset[str]) -> None:
        self.loader, self.shelf, self.faults = loader, shelf, faults
        self.board, self.flow, self.facts = loader.board, loader.flow, loader.facts
        self.elsewhere = Memory(seen="unseen" not in faults and "elsewhere-unnoticed" in faults)
        """What the client reads and writes if it is wrong about the place."""
        self.update: Update | None = None
        self.last: tuple[str, str] | None = None
        self.artifact = "release-1"
        self.installs = 0
        self.committed = False
        """Since the last boot."""
        self.installed_at = 0

    @property
    def env(self) -> Memory:
        """What the client takes for the boot loader's memory."""
        return self.elsewhere if self.faults & {"elsewhere", "elsewhere-unnoticed"} else self.loader.memory

    @property
    def other(self) -> str:
        return "b" if self.loader.running == "a" else "a"

    def starts(self) -> None:
        if self.flow is Flow.CUSTOM and self.update is None:
            self.env.good.add(self.loader.running or "")

    def _recover(self) -> None:
        update = self.update
        if update is None:
            return
        if update.state == "installing":
            self._end("failure")
        elif update.state in {"reboot", "paused-before-commit"} and self.loader.running != update.target:
            self._restore()
            self._end("success" if "client-forgets" in self.faults else "failure")
        elif update.state == "reboot" and self.loader.boots > self.installed_at:
            update.state = "paused-before-commit"
        elif update.state == "rollback-reboot" and self.loader.running != update.target:
            self._end("rolled-back")

    def _end(self, result: str) -> None:
        assert self.update is not None
        self.last, self.update = (self.update.name, result), None

    def _restore(self) -> None:
        keep = next(slot for slot in "ab" if self.update is None or slot != self.update.target)
        self.env.order, self.loader.tryboot = [keep], False
        self.env.good &= {keep}

    def install(self, url: str) -> tuple[int, dict[str, object]]:
        name = url.rsplit("/", 1)[-1].removesuffix(".mender")
        self._recover()
        if not self.env.seen and "mark-ignored" not in self.faults and self.flow is not Flow.CUSTOM:
            return 1, {"result": "failure", "error": {"code": "boot", "what": "the boot script has not left its mark"}}
        self.installs += 1
        if "wears-out" in self.faults and self.installs > 15:
            return 1, {"result": "failure", "error": {"code": "slot", "what": "cannot write"}}
        if "one-way" in self.faults and self.loader.running == "b":
            return 1, {"result": "failure", "error": {"code": "slot", "what": "cannot write"}}
        target, env = self.other, self.env
        self.update = Update(name=name, target=target, state="installing")
        if "never-forbids" not in self.faults:
            env.order = [slot for slot in env.order if slot != target]
            env.good.discard(target)
        self.loader.content[target] = name
        self.loader.broken[name] = tuple(change.path for change in self.shelf.changes[name])
        if self.shelf.stalled == name:
            self.shelf.reached = True
            return 0, {}
        env.order, env.tries[target] = [target, self.loader.running or "a"], self.tries
        env.good.discard(target)
        self.loader.tryboot = True
        self.update.state, self.installed_at = "reboot", self.loader.boots
        return 0, {"result": None, "error": None, "reboot_required": True}

    @property
    def tries(self) -> int:
        return self.board.boot.tries if self.facts.counts else 1

    def _commit(self) -> tuple[int, dict[str, object]]:
        self._recover()
        update = self.update
        if update is None or self.loader.running != update.target:
            return 1, {"result": "failure", "error": {"code": "not-booted", "what": "it was not booted"}}
        self.loader.durable = deepcopy(self.loader.memory)
        if "commit-in-vain" not in self.faults:
            self.env.good.add(update.target)
        if "goes-back" in self.faults:
            self.loader.memory.order.reverse()
            self.loader.memory.good = {self.loader.memory.order[0], update.target}
        self.artifact, self.loader.tryboot, self.committed = update.name, False, True
        self._end("success")
        return 0, {"result": "success", "error": None}

    def _undo(self, result: str) -> tuple[int, dict[str, object]]:
        update = self.update
        if update is None:
            return 2, {"error": {"code": "no-update", "what": "there is none"}}
        self._restore()
        if self.loader.running == update.target:
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
        slots = (
            None if "unreadable" in self.faults else {"running": self.loader.running, "next": primary, "state": state}
        )
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

    def answer(self, words: list[str]) -> tuple[int, Mapping[str, object]]:
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
                return self.install(url)
            case ["commit"]:
                return self._commit()
            case ["rollback"]:
                return self._undo("rolled-back")
            case ["abort", "--reason", _why]:
                return self._undo("aborted")
            case _:
                raise AssertionError(f"a simulated client knows no {words}")
