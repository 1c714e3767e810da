"""What an environment says of the slots, and which values count: the scheme that all boot scripts follow.

The meaning is that of `bistable.client.boot.uboot.slots`. A boot script takes nothing on trust: an order that is none
of the four possible ones is as good as no environment, a mark other than 1 means "not good", a count other than 1 to 9
means "no tries".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bistable.client.boot.table import RENEWED_TRIES, Table
from bistable.client.model import SlotName

ORDER: Final = "bistable_order"
SEEN: Final = "bistable_seen"

_DIGITS: Final = frozenset("123456789")


def good_of(slot: str) -> str:
    """Return the name of the variable that says whether the slot is good."""
    return f"bistable_{slot}_good"


def tries_of(slot: str) -> str:
    """Return the name of the variable that says how often the slot is still tried."""
    return f"bistable_{slot}_tries"


def names_of(slots: tuple[str, str]) -> tuple[str, ...]:
    """Return the names of all variables, in the order of GRUB's blocks."""
    each = [name(slot) for slot in slots for name in (good_of, tries_of)]
    return (ORDER, *each, SEEN)


def orders_of(slots: tuple[str, str]) -> tuple[str, ...]:
    """Return the values that the order may have."""
    first, second = slots
    return (f"{first} {second}", f"{second} {first}", first, second)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The slots and the canary, with allowed values only."""

    table: Table
    seen: bool = field(default=False)

    def variables(self) -> dict[str, str]:
        """Return the variables that say this."""
        values = {ORDER: " ".join(self.table.order)}
        for slot in self.table.names:
            values[good_of(slot)] = "1" if slot in self.table.good else "0"
            values[tries_of(slot)] = str(self.table.tries[slot])
        values[SEEN] = "1" if self.seen else "0"
        return values

    def described(self, slot: str) -> str:
        """Return the word for the slot on the console: good, no, or the tries that are left."""
        if slot not in self.table.order:
            return "no"
        return "good" if slot in self.table.good else str(self.table.tries[SlotName(slot)])


def fresh(slots: tuple[str, str]) -> State:
    """Return what a new device has: only its first slot, which is good."""
    first, second = (SlotName(slot) for slot in slots)
    table = Table(names=_pair(slots), order=(first,), good=frozenset({first}), tries={first: 0, second: 0})
    return State(table=table)


def lost(slots: tuple[str, str], *, seen: bool = False) -> State:
    """Return what a boot script assumes when nothing is known any more."""
    names = _pair(slots)
    table = Table(names=names, order=names, good=frozenset(), tries=dict.fromkeys(names, RENEWED_TRIES))
    return State(table=table, seen=seen)


def understood(variables: Mapping[str, str], slots: tuple[str, str]) -> tuple[State, tuple[str, ...]]:
    """Return what a boot script makes of the variables, and sentences about what it does not take as it is."""
    seen = variables.get(SEEN) == "1"
    order = variables.get(ORDER, "")
    if order not in orders_of(slots):
        said = f"{ORDER} is {order!r}, so nothing is known of the slots" if order else f"there is no {ORDER}"
        return lost(slots, seen=seen), (said,)
    names = _pair(slots)
    remarks: list[str] = []
    good = set()
    tries: dict[SlotName, int] = {}
    for slot in names:
        mark, count = variables.get(good_of(slot), ""), variables.get(tries_of(slot), "")
        if mark == "1":
            good.add(slot)
        elif mark != "0":
            remarks.append(f"{good_of(slot)} is {mark!r}, which does not mean good")
        tries[slot] = int(count) if count in _DIGITS else 0
        if count not in _DIGITS and count != "0":
            remarks.append(f"{tries_of(slot)} is {count!r}, which means no tries")
    table = Table(names=names, order=tuple(SlotName(name) for name in order.split()), good=frozenset(good), tries=tries)
    return State(table=table, seen=seen), tuple(remarks)


def _pair(slots: tuple[str, str]) -> tuple[SlotName, SlotName]:
    first, second = slots
    return SlotName(first), SlotName(second)
