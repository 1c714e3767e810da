"""What a boot loader is to an update: five calls that every one understands, and what only some can do.

A call is one change that either took place or did not, may be repeated, and refuses what would leave the device
without a slot that is known to be good.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from bistable.client.errors import BootError
from bistable.client.model import SlotName

Booted: TypeAlias = Callable[[], SlotName]
"""Says which slot runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """What the boot loader thinks of a slot."""

    bootable: bool
    """It may be booted, now or if the other one fails."""
    good: bool
    """It is known to be good; otherwise it is on trial or must not be booted."""
    tries_left: int | None
    """How often the boot loader still tries it; None where nothing is counted."""


class NamedDevice(Protocol):
    """A slot, as far as a boot loader cares."""

    @property
    def name(self) -> SlotName:
        """Its name."""

    @property
    def device(self) -> Path:
        """Its device."""


class Pair(Protocol):
    """The two slots, as far as a boot loader cares."""

    @property
    def a(self) -> NamedDevice:
        """One."""

    @property
    def b(self) -> NamedDevice:
        """The other."""


class Bootloader(Protocol):
    """A boot loader that chooses between two slots. All calls raise BootError."""

    def primary(self) -> SlotName:
        """Return the slot that the next boot tries first."""

    def forbid(self, slot: SlotName) -> None:
        """Never boot the slot, from now on: it is about to be overwritten."""

    def activate(self, slot: SlotName) -> None:
        """Try the slot at the next boot, and fall back by itself if it is not confirmed."""

    def confirm(self, slot: SlotName) -> None:
        """Take the running slot as good: it is primary, and nothing is counted any more."""

    def restore(self, slot: SlotName) -> None:
        """Make the slot, known to be good, primary again, and try nothing else."""

    def status(self, slot: SlotName) -> SlotStatus:
        """Return what the boot loader thinks of the slot."""


@runtime_checkable
class Rearming(Protocol):
    """A boot loader that can give a running trial its tries again."""

    def rearm(self, slot: SlotName) -> None:
        """Give the slot, running on trial, all its tries: a power cut while it waits for its commit boots it again."""


@runtime_checkable
class Canary(Protocol):
    """A boot loader that leaves a mark, by which we see that it and we look at the same memory."""

    def check_canary(self) -> None:
        """Raise BootError if the mark is missing."""


@runtime_checkable
class Probing(Protocol):
    """A boot loader whose memory can be written without any meaning, to see whether that works."""

    def probe(self) -> None:
        """Set something that nobody reads, and read it back; raise BootError if that does not work."""


@runtime_checkable
class Placing(Protocol):
    """A boot loader that loads kernels from a partition of its own, and not from the slots."""

    def place(self, slot: SlotName, root: Path) -> None:
        """Copy there what boots the slot, a forbidden one, whose file system is mounted at `root`; may be repeated.

        Whatever happens, the other slot can be booted as before.
        """


@runtime_checkable
class RebootArgument(Protocol):
    """A boot loader whose trial needs a word with the restart, which its firmware forgets at the next one."""

    def reboot_argument(self) -> str | None:
        """Return what has to be passed to the reboot call for the trial; None if there is none to be made."""


@runtime_checkable
class Faulty(Protocol):
    """A boot loader that can tell what is wrong with its memory although it works."""

    def faults(self) -> tuple[str, ...]:
        """Return a sentence for each fault; raise BootError if the memory cannot be read."""


@runtime_checkable
class CurrentSlot(Protocol):
    """A boot loader whose back end itself knows what runs."""

    def current(self) -> SlotName:
        """Return the slot that runs."""


def check_known(slot: SlotName, names: tuple[SlotName, SlotName]) -> SlotName:
    """Return the other slot.

    Raises:
        BootError: there is no such slot.
    """
    if slot not in names:
        raise BootError(f"cannot find slot {slot!r}: there are {names[0]} and {names[1]}")
    return names[1] if slot == names[0] else names[0]
