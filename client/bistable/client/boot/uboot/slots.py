"""Our own scheme, for U-Boot and GRUB: each slot is "good" or has a number of tries, and only the boot script counts.

Variables, all in one environment, which has to be a redundant one (two copies with counter and CRC):

| variable                | value           | meaning                                                                 |
|-------------------------|-----------------|-------------------------------------------------------------------------|
| `bistable_order`        | `a b`, `b`, ... | slots in the order in which they are tried; others are never booted     |
| `bistable_<slot>_good`  | `0`, `1`        | 1: known to be good, boot it without counting                           |
| `bistable_<slot>_tries` | `0` to `9`      | how often a slot that is not good is still tried; one decimal digit     |
| `bistable_seen`         | `1`             | saved by the boot script, and by nothing else: the canary               |

What the boot script does, in this order:

1. If `bistable_order` is empty (no copy of the environment is valid), it sets order `a b`, both not good, both with 3
   tries: what is in the slots is not known any more.
2. If `bistable_seen` is not 1, it sets it and saves. If that fails, it says so on the console and goes on.
3. For each slot in `bistable_order`:
   good = 1: it loads and boots the slot; nothing is counted or saved.
   tries > 0: it takes one away, saves, and only if that succeeded loads and boots the slot. A try that cannot be
   counted would be endless, so then the slot is passed over.
   else: it passes over the slot.
   If loading the kernel fails or booting returns, it goes on: with the next slot, if the slot was good; with a reset,
   if it was on trial (its try is counted already).
4. If nothing was booted, it gives each slot in `bistable_order` that is not good 3 tries again, saves, and resets. A
   forbidden slot stays forbidden: what is in it may be half written or not verified. Where all in the order are good
   there is nothing to save. If saving fails, it starts the slots without counting: a reset would change nothing.

The boot script adds `bistable.slot=<slot>` to the kernel's arguments. It saves once for each change. The
hardware watchdog is started before the kernel, so that a slot that hangs uses up its try.

An image has `bistable_order=a bistable_a_good=1 bistable_a_tries=0 bistable_b_good=0 bistable_b_tries=0` from its
build, without `bistable_seen`. What the calls make of all this stands in the table of `bistable.client.boot.table`;
each is one write, and none where nothing changes.
"""

from collections.abc import Callable, Mapping
from typing import Final

from bistable.client.boot.ports import Booted, SlotStatus
from bistable.client.boot.table import MOST_TRIES, Table, check_tries
from bistable.client.boot.uboot.environment import Environment
from bistable.client.errors import BootError
from bistable.client.model import SlotName

ORDER: Final = "bistable_order"
SEEN: Final = "bistable_seen"


class SlotsBootloader:
    """The environment as a table of slots; `booted`, where given, says which one runs."""

    def __init__(
        self, environment: Environment, names: tuple[SlotName, SlotName], *, tries: int, booted: Booted | None = None
    ) -> None:
        self._environment, self._names = environment, names
        self._trial = check_tries(tries)
        self._booted = booted

    def primary(self) -> SlotName:
        """Return the slot that the next boot tries first."""
        return self._table(self._environment.read()).primary()

    def forbid(self, slot: SlotName) -> None:
        """Never boot the slot, from now on."""
        variables = self._checked()
        self._change(variables, lambda table: table.forbid(slot, booted=self._running()))

    def activate(self, slot: SlotName) -> None:
        """Try the slot at the next boots."""
        variables = self._checked()
        self._change(variables, lambda table: table.activate(slot, tries=self._trial, booted=self._running()))

    def confirm(self, slot: SlotName) -> None:
        """Take the running slot as good."""
        self._change(self._environment.read(), lambda table: table.confirm(slot, booted=self._running()))

    def restore(self, slot: SlotName) -> None:
        """Boot only this slot, which is known to be good."""
        self._change(self._environment.read(), lambda table: table.restore(slot, booted=self._running()))

    def rearm(self, slot: SlotName) -> None:
        """Give the running trial its tries again."""
        variables = self._environment.read()
        self._change(variables, lambda table: table.rearm(slot, tries=self._trial, booted=self._running()))

    def probe(self) -> None:
        """Write what means nothing to a boot script."""
        self._environment.probe()

    def faults(self) -> tuple[str, ...]:
        """Return what is wrong with the environment although it works."""
        return self._environment.faults()

    def status(self, slot: SlotName) -> SlotStatus:
        """Return what the environment says of the slot."""
        return self._table(self._environment.read()).status(slot)

    def check_canary(self) -> None:
        """Raise BootError unless the boot script has saved its mark where we read."""
        self._checked()

    def _checked(self) -> Mapping[str, str]:
        variables = self._environment.read()
        if variables.get(SEEN) != "1":
            raise BootError(
                f"cannot rely on the boot loader's environment: the boot script has not left {SEEN}=1 in it",
                hint=f"the boot loader and {self._environment.where} have to name the same place, and the device has "
                "to be booted once with the boot script",
            )
        return variables

    def _table(self, variables: Mapping[str, str]) -> Table:
        return parse_table(variables, self._names, where=self._environment.where)

    def _running(self) -> SlotName | None:
        return self._booted() if self._booted is not None else None

    def _change(self, variables: Mapping[str, str], change: Callable[[Table], Table]) -> None:
        values = render_table(change(self._table(variables)))
        if any(variables.get(name) != value for name, value in values.items()):
            self._environment.write(values)


def parse_table(variables: Mapping[str, str], names: tuple[SlotName, SlotName], *, where: str) -> Table:
    """Return what the variables say; `where` is what names the place of the environment.

    Raises:
        BootError: a variable is missing or has a value that it cannot have.
    """
    order = variables.get(ORDER, "").split()
    if not order or len(set(order)) != len(order) or not set(order) <= set(names):
        raise BootError(
            f"cannot understand the boot loader's environment: {ORDER} is {variables.get(ORDER, '')!r}, not a list of "
            f"{names[0]} and {names[1]}",
            hint=f"is the boot script ours, and does {where} name its environment?",
        )
    good = frozenset(name for name in names if _digit(variables, f"bistable_{name}_good", most=1))
    tries = {name: _digit(variables, f"bistable_{name}_tries", most=MOST_TRIES) for name in names}
    return Table(names=names, order=tuple(SlotName(name) for name in order), good=good, tries=tries)


def render_table(table: Table) -> dict[str, str]:
    """Return the variables that say what the table says."""
    values = {ORDER: " ".join(table.order)}
    for name in table.names:
        values[f"bistable_{name}_good"] = "1" if name in table.good else "0"
        values[f"bistable_{name}_tries"] = str(table.tries[name])
    return values


def _digit(variables: Mapping[str, str], name: str, *, most: int) -> int:
    value = variables.get(name, "")
    if len(value) != 1 or not "0" <= value <= str(most):
        raise BootError(
            f"cannot understand the boot loader's environment: {name} is {value!r}, not a digit from 0 to {most}"
        )
    return int(value)
