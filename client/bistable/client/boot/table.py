"""The strong scheme as pure values: what is known of each slot, what our calls make of it, what a boot makes of it.

A table holds an order of slots and, for each slot, whether it is known to be good and how many tries it has left.

| a slot is | in the order | good | tries | the boot loader                                              |
|-----------|--------------|------|-------|--------------------------------------------------------------|
| good      | yes          | yes  | -     | boots it, counts nothing, writes nothing                     |
| on trial  | yes          | no   | 1-9   | takes one try away, saves that, and only then boots it       |
| used up   | yes          | no   | 0     | passes over it                                               |
| forbidden | no           | no   | 0     | never looks at it                                            |

The boot loader goes through the order and boots the first slot that it may. User space never counts, and the boot
loader never does anything but count down. A good slot has no counter, so that no number of short boots uses it up.

Our calls keep one thing true: if a good slot is in the order, there will be one afterwards.

| call     | refused when                                     | makes of the slot   | of the other                      |
|----------|--------------------------------------------------|---------------------|-----------------------------------|
| forbid   | it runs; the other is not good                   | forbidden           | first                             |
| activate | it runs and is good; the other is not good       | first, on trial     | second                            |
| confirm  | it does not run; it is forbidden                 | first, good         | second if good, else forbidden    |
| restore  | it is not good                                   | first               | forbidden                         |
| rearm    | it does not run; it is not first or is forbidden | on trial, all tries | unchanged                         |
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from bistable.client.boot.ports import SlotStatus, check_known
from bistable.client.errors import BootError
from bistable.client.model import SlotName

MOST_TRIES: Final = 9
"""U-Boot calculates in hexadecimal and user space reads decimal: a single digit is the same in both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is known of each slot. `booted` parameters are the slot that runs, or None if that is not known."""

    names: tuple[SlotName, SlotName]
    order: tuple[SlotName, ...]
    good: frozenset[SlotName]
    tries: Mapping[SlotName, int]

    def status(self, slot: SlotName) -> SlotStatus:
        """Return what is known of one slot."""
        check_known(slot, self.names)
        good = slot in self.good
        return SlotStatus(bootable=self._bootable(slot), good=good, tries_left=None if good else self._tries(slot))

    def primary(self) -> SlotName:
        """Return the slot that the next boot tries first.

        Raises:
            BootError: none may be booted.
        """
        for slot in self.order:
            if self._bootable(slot):
                return slot
        raise BootError(
            "cannot tell what the next boot tries: no slot may be booted",
            hint="the boot script then gives all slots new tries; boot, and confirm the slot that runs",
        )

    def forbid(self, slot: SlotName, *, booted: SlotName | None) -> "Table":
        """Return the table in which the slot is never booted."""
        other = check_known(slot, self.names)
        if slot == booted:
            raise BootError(f"cannot forbid slot {slot}: it is running")
        self._require_good(other, f"cannot forbid slot {slot}")
        return self._with(slot, good=False, tries=0, order=(other,))

    def activate(self, slot: SlotName, *, tries: int, booted: SlotName | None) -> "Table":
        """Return the table in which the slot is tried first, `tries` times."""
        other = check_known(slot, self.names)
        if slot == booted and slot in self.good:
            raise BootError(f"cannot put slot {slot} on trial: it is running and known to be good")
        self._require_good(other, f"cannot activate slot {slot}")
        return self._with(slot, good=False, tries=tries, order=(slot, other))

    def confirm(self, slot: SlotName, *, booted: SlotName | None) -> "Table":
        """Return the table in which the slot is good and first."""
        other = check_known(slot, self.names)
        what = f"cannot confirm slot {slot}"
        _require_running(what, slot, booted)
        if slot not in self.order:
            raise BootError(f"{what}: it must not be booted", hint="install the update again")
        confirmed = self._with(slot, good=True, tries=0, order=(slot, other))
        return confirmed if other in self.good else confirmed._with(other, good=False, tries=0, order=(slot,))

    def restore(self, slot: SlotName) -> "Table":
        """Return the table in which the slot is the only one."""
        other = check_known(slot, self.names)
        self._require_good(slot, f"cannot go back to slot {slot}")
        return self._with(other, good=False, tries=0, order=(slot,))

    def rearm(self, slot: SlotName, *, tries: int, booted: SlotName | None) -> "Table":
        """Return the table in which the slot has all its tries."""
        check_known(slot, self.names)
        what = f"cannot give slot {slot} its tries again"
        _require_running(what, slot, booted)
        if self.order[:1] != (slot,):
            raise BootError(f"{what}: it is no longer the first choice of the boot loader")
        return self if slot in self.good else self._with(slot, good=False, tries=tries, order=self.order)

    def step(self) -> tuple[SlotName | None, "Table"]:
        """Do what a boot loader does: return the slot to boot, or None, and the table to save before that."""
        for slot in self.order:
            if slot in self.good:
                return slot, self
            if self._tries(slot) > 0:
                return slot, self._with(slot, good=False, tries=self._tries(slot) - 1, order=self.order)
        return None, self

    def _bootable(self, slot: SlotName) -> bool:
        return slot in self.order and (slot in self.good or self._tries(slot) > 0)

    def _tries(self, slot: SlotName) -> int:
        return self.tries.get(slot, 0)

    def _require_good(self, slot: SlotName, what: str) -> None:
        if slot not in self.good or slot not in self.order:
            raise BootError(
                f"{what}: slot {slot} is not known to be good, and there would be nothing to fall back to",
                hint=f"if slot {slot} runs and is sound, confirm it first",
            )

    def _with(self, slot: SlotName, *, good: bool, tries: int, order: tuple[SlotName, ...]) -> "Table":
        known = self.good | {slot} if good else self.good - {slot}
        return replace(self, good=known, tries={**self.tries, slot: tries}, order=order)


def check_tries(tries: int) -> int:
    """Return `tries` if a boot script can count them.

    Raises:
        BootError: it cannot.
    """
    if not 1 <= tries <= MOST_TRIES:
        raise BootError(f"cannot try a slot {tries} times: the boot loader counts from 1 to {MOST_TRIES}")
    return tries


def _require_running(what: str, slot: SlotName, booted: SlotName | None) -> None:
    if booted is not None and slot != booted:
        raise BootError(f"{what}: slot {booted} is running")
