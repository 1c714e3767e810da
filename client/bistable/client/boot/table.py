"""The strong scheme as pure values: what is known of each slot, what our calls make of it, what a boot makes of it.

A table holds an order of slots and, for each slot, whether it is known to be good and how many tries it has left.

| a slot is | in the order | good | tries | the boot loader                                             |
|-----------|--------------|------|-------|-------------------------------------------------------------|
| good      | yes          | yes  | -     | boots it, counts nothing, writes nothing                    |
| on trial  | yes          | no   | 1-9   | takes one try away, saves that, and only then boots it      |
| used up   | yes          | no   | 0     | passes over it                                              |
| forbidden | no           | no   | 0     | never looks at it                                           |

The boot loader goes through the order and boots the first slot that it may; if there is none, used up slots get tries
again, because giving up helps nobody. User space never counts, and other than that the boot loader only counts down. A
good slot has no counter, so that no number of short boots uses it up.

Our calls keep one thing true: if a good slot is in the order, there will be one afterwards.

| call     | refused when                                     | makes of the slot   | of the other                     |
|----------|--------------------------------------------------|---------------------|----------------------------------|
| forbid   | it runs; the other is not good                   | forbidden           | first                            |
| activate | it runs and is good; the other is not good       | first, on trial     | second                           |
| confirm  | it does not run; it is forbidden                 | first, good         | second if good, else forbidden   |
| restore  | it is not good, and does not run or the other is | first, good         | forbidden                        |
| rearm    | it does not run; it is not first or is forbidden | on trial, all tries | unchanged                        |
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from bistable.client.boot.ports import SlotStatus, check_known
from bistable.client.errors import BootError
from bistable.client.model import SlotName

MOST_TRIES: Final = 9
"""U-Boot calculates in hexadecimal and user space reads decimal: a single digit is the same in both."""

RENEWED_TRIES: Final = 3
"""What a boot loader gives back when it has nothing left to boot; it does not know our settings."""


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
        for slot in self.candidates():
            return slot
        raise BootError(
            "cannot tell what the next boot tries: no slot may be booted",
            hint="the boot loader then gives tries again; boot, and confirm the slot that runs",
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

    def restore(self, slot: SlotName, *, booted: SlotName | None) -> "Table":
        """Return the table in which the slot is the only one."""
        other = check_known(slot, self.names)
        # When an environment was lost during an update, nothing is marked as good; then what runs is the best there is.
        if slot != booted or self._is_good(other):
            self._require_good(slot, f"cannot go back to slot {slot}")
        kept = self._with(other, good=False, tries=0, order=(slot,))
        return kept._with(slot, good=True, tries=0, order=(slot,))

    def rearm(self, slot: SlotName, *, tries: int, booted: SlotName | None) -> "Table":
        """Return the table in which the slot has all its tries."""
        check_known(slot, self.names)
        what = f"cannot give slot {slot} its tries again"
        _require_running(what, slot, booted)
        if self.order[:1] != (slot,):
            raise BootError(f"{what}: it is no longer the first choice of the boot loader")
        return self if slot in self.good else self._with(slot, good=False, tries=tries, order=self.order)

    def candidates(self) -> tuple[SlotName, ...]:
        """Return the slots that a boot loader may boot, the first choice first."""
        return tuple(slot for slot in self.order if self._bootable(slot))

    def counted(self, slot: SlotName) -> "Table":
        """Return the table that a boot loader saves before it boots the slot."""
        return (
            self if slot in self.good else self._with(slot, good=False, tries=self._tries(slot) - 1, order=self.order)
        )

    def renewed(self) -> "Table":
        """Return the table in which slots on trial have tries again; what is forbidden stays so."""
        return replace(
            self,
            tries={name: 0 if name in self.good or name not in self.order else RENEWED_TRIES for name in self.names},
        )

    def _bootable(self, slot: SlotName) -> bool:
        return slot in self.order and (slot in self.good or self._tries(slot) > 0)

    def _tries(self, slot: SlotName) -> int:
        return self.tries.get(slot, 0)

    def _is_good(self, slot: SlotName) -> bool:
        return slot in self.good and slot in self.order

    def _require_good(self, slot: SlotName, what: str) -> None:
        if not self._is_good(slot):
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
