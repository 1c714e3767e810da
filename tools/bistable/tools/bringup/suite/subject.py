"""The device that a case is about: what cases ask of it, with every answer taken down and every surprise raised."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from bistable.tools.bench import patience
from bistable.tools.bench.device import Device, bistablectl
from bistable.tools.bench.errors import CommandError
from bistable.tools.board.model import Board
from bistable.tools.bringup.suite.changes import RELEASE_FILE, Change
from bistable.tools.bringup.suite.errors import UnexpectedError
from bistable.tools.bringup.suite.flows import FLOWS, FlowFacts, tries_of
from bistable.tools.bringup.suite.journal import Journal
from bistable.tools.bringup.suite.offers import Offers
from bistable.tools.bringup.suite.recorded import RecordedDevice
from bistable.tools.bringup.suite.status import Slots, Status, client_error, parse_status

ANY: Final = tuple(range(256))
"""Exit codes of commands, where what counts is what they did."""

_SETTLED: Final = (
    "command -v systemctl >/dev/null || exit 0; timeout 240 systemctl is-system-running --wait >/dev/null; exit 0"
)
"""Waits until systemd, where there is one, has started all that it starts: the client's own unit is among that."""

_SETTLE_SECONDS: Final = 300.0


class PlaceKind(StrEnum):
    """What the device is."""

    QEMU = "qemu"
    LABGRID = "labgrid"
    SERIAL = "serial"
    """A serial port, and a command that switches the power."""
    BY_HAND = "by-hand"
    """A serial port, and a person who switches the power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device is. `what` describes it for readers of the report; `is_new`: its disk was never booted before."""

    kind: PlaceKind
    what: str
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How much is to be done: updates in a row, and power cuts; `stamp` is a part of the names of all artifacts."""

    updates: int = 3
    cuts: int = 6
    stamp: str = "1"


class Subject:
    """A board under test."""

    def __init__(
        self,
        board: Board,
        device: Device,
        offers: Offers,
        place: Place,
        *,
        journal: Journal,
        wishes: Wishes | None = None,
    ) -> None:
        self.board, self.offers, self.place, self.journal = board, offers, place, journal
        self.device = RecordedDevice(device, journal)
        self.wishes = wishes or Wishes()
        self.flow: FlowFacts = FLOWS[board.boot.flow]
        self.tries = tries_of(board.boot.flow, board.boot.tries)
        self.running = ""
        """The slot that came up last, as the kernel was told."""
        self.content: dict[str, str] = {}
        """Slot -> variant that is known to be in it."""
        self._number = 0
        self._data_folder: str | None = None

    @property
    def other(self) -> str:
        """Return the slot that does not run."""
        return "b" if self.running == "a" else "a"

    # --- what is looked at

    def expect(self, what: str, *, expected: object, seen: object, hint: str | None = None) -> None:
        """Raise UnexpectedError if both are not the same."""
        if expected != seen:
            raise UnexpectedError(what, expected=_words(expected), seen=_words(seen), hint=hint)

    def status(self) -> Status:
        """Return what the client says of itself."""
        return parse_status(self.ctl("status"))

    def slots(self) -> Slots:
        """Return what the client says of the slots.

        Raises:
            UnexpectedError: it cannot tell.
        """
        return self.slots_in(self.status())

    def slots_in(self, status: Status) -> Slots:
        """Return what the status says of the slots.

        Raises:
            UnexpectedError: it does not.
        """
        found = status.slots
        if found is None:
            raise UnexpectedError(
                "the client cannot read what the boot loader keeps of the slots",
                expected="`bistablectl status` shows two slots",
                seen=self.device.run("bistablectl status 2>&1", allowed=ANY).output,
                hint="`bistablectl doctor` on the device says what is wrong; `bistable board check` may know, too",
            )
        return found

    def content_of_running(self) -> str | None:
        """Return which variant runs by what is in its file system; None: that of the image, or nobody can tell."""
        answer = self.device.run(f"cat {RELEASE_FILE} 2>/dev/null", allowed=ANY)
        return answer.output.strip() or None if answer.status == 0 else None

    def data_folder(self) -> str:
        """Return where the client keeps its data."""
        if self._data_folder is None:
            settings = self.ctl("config", "--all")["settings"]
            self._data_folder = str(settings["device.data-dir"]["value"]).strip('"')
        return self._data_folder

    def expect_running(self, slot: str, booted: str, *, why: str) -> Slots:
        """Raise UnexpectedError unless `booted`, which the kernel was told, is this slot, and so is all else."""
        self._expect_booted(slot, booted, why=why)
        slots = self.slots()
        self.expect(f"the slot that runs {why}, as the client sees it", expected=slot, seen=slots.running)
        return slots

    def _expect_booted(self, slot: str, booted: str, *, why: str) -> None:
        self.expect(f"the slot that runs {why}", expected=slot, seen=booted)
        if self.offers.can_change and slot in self.content:
            self.expect(
                f"what is in the file system that runs {why}",
                expected=self.content[slot],
                seen=self.content_of_running(),
                hint="the kernel says one slot, and its root file system is that of another: look at root= in the "
                "kernel's arguments",
            )

    # --- what is done

    def ctl(self, *words: str, allowed: tuple[int, ...] = (0,)) -> Mapping[str, Any]:
        """Run `bistablectl WORDS --json` on the device, and return what it wrote.

        Raises:
            UnexpectedError: its exit status is not among the allowed ones.
        """
        try:
            return bistablectl(self.device, *words, seconds=patience.INSTALL, allowed=allowed)
        except CommandError as e:
            said, hint = client_error(e.console)
            raise UnexpectedError(
                f"`bistablectl {' '.join(words)}` on the device", expected="it succeeds", seen=said or e.what, hint=hint
            ) from e

    def reboot(self, why: str) -> str:
        """Reboot the device, and return the slot that came up."""
        self.journal.step(f"reboot {why}")
        return self._arrived(self.device.reboot())

    def cut_power(self, why: str) -> str:
        """Cut the power, bring it back, and return the slot that came up."""
        self.journal.step(f"cut the power {why}")
        self.device.cut_power()
        return self.boot()

    def boot(self) -> str:
        """Wait until the device is up, switched on if it is off, and return the slot that came up."""
        return self._arrived(self.device.boot())

    def _arrived(self, slot: str) -> str:
        self.running = slot
        self.device.run(_SETTLED, seconds=_SETTLE_SECONDS, allowed=ANY)
        return slot

    def new_name(self) -> str:
        """Return a name for one more artifact."""
        self._number += 1
        return f"conformance-{self.wishes.stamp}-{self._number}"

    def install_new(self, *changes: Change) -> str:
        """Install a new variant with these changes into the other slot, and return its name. Nothing is rebooted."""
        name, target = self.new_name(), self.other
        url = self.offers.offer(name, *changes)
        self.journal.step(f"install {name} into slot {target}")
        self.content.pop(target, None)
        self.ctl("install", url)
        self.content[target] = name
        return name

    def commit(self) -> None:
        """Have the client keep the update that runs, and see that it does."""
        self.journal.step("commit")
        done = self.ctl("commit", allowed=ANY)
        self.expect("the result of the commit", expected="success", seen=_outcome(done))
        slots = self.slots()
        self.expect(
            f"what is known of slot {slots.running} after the commit",
            expected="good",
            seen=slots.state[slots.running].words,
        )

    def update(self) -> str:
        """Install a new variant, reboot, commit it, and return the slot that runs it."""
        target = self.other
        self.install_new()
        self._expect_booted(target, self.reboot("into the new system"), why="after the update")
        self.commit()
        return target

    def expect_given_up(self, slot: str, booted: str, name: str, *, why: str) -> None:
        """Raise UnexpectedError unless the device runs `slot` again, and knows that the update `name` failed."""
        self._expect_booted(slot, booted, why=why)
        self.journal.step("ask the client what became of the update")
        self.ctl("recover", allowed=ANY)
        status = self.status()
        slots = self.slots_in(status)
        self.expect(f"the slot that runs {why}, as the client sees it", expected=slot, seen=slots.running)
        self.expect("the update in progress", expected=None, seen=status.update)
        self.expect("the last update that the client remembers", expected=name, seen=status.last_artifact)
        if status.last_result == "success":
            raise UnexpectedError(
                "what the client says became of the update", expected="that it failed", seen=status.last_result
            )
        self.expect(f"what is known of slot {slot}", expected="good", seen=slots.state[slot].words)
        self.expect("the slot that the next boot tries first", expected=slot, seen=slots.next)


def _words(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _outcome(done: Mapping[str, Any]) -> str:
    """Return the result of a command, or else why there is none."""
    error = done.get("error")
    if done.get("result") == "success" or error is None:
        return str(done.get("result"))
    return f"{done.get('result')}: {error.get('what')}"
