"""What would boot, told from the bytes of the environment: the model of our boot scripts.

It follows the real loaders step by step (bistable.tools.boot.render has the scripts): which copy is valid and which of
two is newer, what the variables mean, and what is saved before the kernel starts. A table of cases runs real loaders
and this beside each other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bistable.artifact.errors import RejectedError, RequestError
from bistable.client.boot.table import RENEWED_TRIES, Table
from bistable.tools.boot import envfiles, grubenv, ubootenv
from bistable.tools.boot.checks import check_plan
from bistable.tools.boot.plan import BootPlan, EnvironmentPlace, Loader
from bistable.tools.boot.render import END, SEQUENCE, names_for_grub, names_for_uboot
from bistable.tools.boot.state import State, orders_of, understood


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyState:
    """One copy of the environment."""

    valid: bool
    newest: bool
    """The boot script goes by it."""
    sequence: int | None
    """Its counter; None if it is not valid."""
    why: str
    """Why it is not valid; empty if it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotState:
    """What the environment says of a slot."""

    good: bool
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a boot script would do."""

    slot: str | None
    """Which slot it would start first; None: it finds none, gives tries again and starts from the beginning."""
    counted: bool
    """A try is used up by that."""
    why: tuple[str, ...]
    """Sentences for people, in the order of what happens."""
    copies: tuple[CopyState, CopyState]
    order: tuple[str, ...]
    slots: Mapping[str, SlotState]
    """Slot -> what is known of it before this boot."""
    environment_after: bytes
    """What the partition holds when the kernel is started, or the machine is reset."""
    fallbacks: tuple[str, ...] = field(default=())
    """What is tried next if the slot cannot be loaded, in this boot or, when a try was counted, in the next ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What a loader finds: both copies and what the current one says."""

    copies: tuple[CopyState, CopyState]
    state: State
    remarks: tuple[str, ...]
    save: "_Save"


_Save = Callable[[bytes, State], tuple[bytes, bool]]
"""Saves a state: the bytes of the partition afterwards, which may have changed in vain, and whether the state is there.
Keeps count of which copy is next."""


def decide(plan: BootPlan, environment: bytes) -> Decision:
    """Return what the plan's boot script would do with these bytes in the environment's partition.

    Raises:
        RequestError: the plan cannot be, or its loader keeps no environment on a partition.
    """
    check_plan(plan)
    place = plan.environment
    if place is None or plan.loader not in READERS:
        raise RequestError(f"cannot tell what {plan.loader.value} would boot: it has no environment on a partition")
    return _run(READERS[plan.loader](plan, place, environment), environment)


def _run(found: _Read, environment: bytes) -> Decision:
    """Do what the boot script does, up to the start of a kernel."""
    state, why = found.state, list(found.remarks)
    table = state.table
    if not state.seen:
        state = replace(state, seen=True)
        environment, saved = found.save(environment, state)
        why.append("the boot script leaves its mark" if saved else "the boot script cannot save the environment")
    slot, counted, environment, reasons = _choose(state, environment, found.save)
    return Decision(
        slot=slot,
        counted=counted,
        why=(*why, *reasons),
        copies=found.copies,
        order=table.order,
        slots={name: SlotState(good=name in table.good, tries=table.tries[name]) for name in table.names},
        environment_after=environment,
        fallbacks=tuple(other for other in table.candidates() if other != slot) if slot is not None else (),
    )


def _choose(state: State, environment: bytes, save: _Save) -> tuple[str | None, bool, bytes, list[str]]:
    table = state.table
    why: list[str] = []
    for slot in table.order:
        if slot in table.good:
            return slot, False, environment, [*why, f"slot {slot} is good and booted without counting"]
        if not table.tries[slot]:
            why.append(f"slot {slot} has no tries left and is passed over")
            continue
        environment, saved = save(environment, replace(state, table=table.counted(slot)))
        if saved:
            left = table.tries[slot] - 1
            return slot, True, environment, [*why, f"slot {slot} is on trial and booted; {left} tries are left then"]
        why.append(f"slot {slot} is on trial and passed over: the try cannot be counted")
    return _give_again(state, environment, save, why)


def _give_again(
    state: State, environment: bytes, save: _Save, why: list[str]
) -> tuple[str | None, bool, bytes, list[str]]:
    why.append("no slot may be booted: all that are not forbidden get their tries again")
    environment, saved = save(environment, replace(state, table=_renewed(state.table)))
    if saved:
        return None, False, environment, why
    first = state.table.order[0]
    return first, False, environment, [*why, f"that cannot be saved either, so slot {first} is booted without counting"]


def _renewed(table: Table) -> Table:
    """Return the table with tries again; the boot script leaves alone the counts of other slots."""
    again = [slot for slot in table.order if slot not in table.good]
    return replace(table, tries={**table.tries, **dict.fromkeys(again, RENEWED_TRIES)})


# U-Boot


def _read_uboot(plan: BootPlan, place: EnvironmentPlace, environment: bytes) -> _Read:
    ours = names_for_uboot(plan)
    # A script that imports names the variables it wants; U-Boot itself takes all.
    copies, current, variables = read_copies(place, environment, ours if plan.loader is Loader.UBOOT else None)
    state, remarks = understood(variables, _slots(plan))
    counter = 0 if current is None else copies[current].sequence
    assert counter is not None
    saver = ubootenv.Saver(offsets=place.offsets, size=place.size, current=current, counter=counter)
    kept = {name: value for name, value in variables.items() if name not in ours}

    def save(partition: bytes, state: State) -> tuple[bytes, bool]:
        return saver.save(partition, {**kept, **state.variables()}), True

    return _Read(copies=copies, state=state, remarks=_said(current, remarks), save=save)


def read_copies(
    place: EnvironmentPlace, environment: bytes, only: tuple[str, ...] | None
) -> tuple[tuple[CopyState, CopyState], int | None, Mapping[str, str]]:
    """Return both copies of an environment of U-Boot, which is the current one, and its variables, or those named."""
    read: list[tuple[int | None, dict[str, str]] | str] = []
    for offset in place.offsets:
        try:
            copy = ubootenv.read_redundant(environment[offset : offset + place.size])
            read.append((copy.counter, copy.variables(only)))
        except RejectedError as e:
            read.append(e.what)
    counters = [None if isinstance(one, str) else one[0] for one in read]
    current = _newest(counters, ubootenv.second_is_newer)
    found = None if current is None else read[current]
    reasons = [one if isinstance(one, str) else "" for one in read]
    return _copies(reasons, counters, current), current, {} if found is None or isinstance(found, str) else found[1]


# GRUB

_NO_DIRECTORY: Final = "cannot find the environment block: the directory on the partition is damaged"


def _read_grub(plan: BootPlan, place: EnvironmentPlace, environment: bytes) -> _Read:
    # Without the directory GRUB finds neither file. Damage in its unused parts would not matter; nobody writes there.
    found = environment[envfiles.START : envfiles.END] == envfiles.directory(place.offsets, grubenv.SIZE)
    read: list[dict[str, str] | str] = []
    for offset in place.offsets:
        try:
            read.append(_grub_copy(environment[offset : offset + grubenv.SIZE], plan) if found else _NO_DIRECTORY)
        except RejectedError as e:
            read.append(e.what)
    reasons = [one if isinstance(one, str) else "" for one in read]
    sequences = [None if isinstance(one, str) else int(one[SEQUENCE]) for one in read]
    current = _newest(sequences, lambda first, second: second == (first + 1) % 10)
    variables = None if current is None else read[current]
    if variables is None or isinstance(variables, str):
        state, remarks = understood({}, _slots(plan))
    else:
        state, remarks = understood(variables, _slots(plan))
    sequence = 0 if current is None else sequences[current]
    assert sequence is not None
    saver = _GrubSaver(place=place, current=1 if current is None else current, sequence=sequence, found=found)
    return _Read(
        copies=_copies(reasons, sequences, current), state=state, remarks=_said(current, remarks), save=saver.save
    )


def _grub_copy(raw: bytes, plan: BootPlan) -> dict[str, str]:
    values = grubenv.read_block(raw, names_for_grub())
    for name in names_for_grub():
        value = values.get(name, "")
        if value not in _allowed(name, plan):
            raise RejectedError(f"cannot use the environment block: {name} is {value!r}")
    return values


def _allowed(name: str, plan: BootPlan) -> tuple[str, ...] | str:
    if name == "bistable_order":
        return orders_of(_slots(plan))
    if name == END:
        return ("1",)
    return tuple("01") if name.endswith(("_good", "_seen")) else tuple("0123456789")


@dataclass(slots=True, kw_only=True)
class _GrubSaver:
    """Writes the copy that is not the current one; if that does not help, the current one in place."""

    place: EnvironmentPlace
    current: int
    sequence: int
    found: bool

    def save(self, environment: bytes, state: State) -> tuple[bytes, bool]:
        """Return the partition after the attempt, and whether one of its copies has the state."""
        other, following = 1 - self.current, (self.sequence + 1) % 10
        environment, saved = self._store(environment, other, {SEQUENCE: str(following), **state.variables(), END: "1"})
        if saved:
            self.current, self.sequence = other, following
            return environment, True
        return self._store(environment, self.current, {SEQUENCE: str(self.sequence), **state.variables(), END: "1"})

    def _store(self, environment: bytes, copy: int, values: Mapping[str, str]) -> tuple[bytes, bool]:
        if not self.found:
            return environment, False
        offset = self.place.offsets[copy]
        try:
            block = grubenv.change_block(environment[offset : offset + grubenv.SIZE], values)
        except RejectedError:
            return environment, False
        # The boot script reads what it has saved. In a block with damaged lines GRUB changes one and reads another.
        saved = grubenv.read_block(block, values) == values
        return environment[:offset] + block + environment[offset + len(block) :], saved


# Both


def _newest(counters: list[int | None], second_is_newer: Callable[[int, int], bool]) -> int | None:
    first, second = counters
    if first is None:
        return None if second is None else 1
    return 1 if second is not None and second_is_newer(first, second) else 0


def _copies(reasons: list[str], counters: list[int | None], current: int | None) -> tuple[CopyState, CopyState]:
    first, second = (
        CopyState(valid=not why, newest=current == number, sequence=counters[number], why=why)
        for number, why in enumerate(reasons)
    )
    return first, second


def _said(current: int | None, remarks: tuple[str, ...]) -> tuple[str, ...]:
    if current is None:
        return ("no copy of the environment is valid, so nothing is known of the slots",)
    return (f"copy {current + 1} of the environment counts", *remarks)


def _slots(plan: BootPlan) -> tuple[str, str]:
    first, second = plan.slots
    return first.name, second.name


READERS: Final[Mapping[Loader, Callable[[BootPlan, EnvironmentPlace, bytes], _Read]]] = {
    Loader.UBOOT: _read_uboot,
    Loader.UBOOT_ENVIRONMENT: _read_uboot,
    Loader.GRUB: _read_grub,
}
