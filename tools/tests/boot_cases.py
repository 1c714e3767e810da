"""The table of cases for boot scripts: what is in the environment, what is broken, and what has to be started.

The same for all loaders; where they differ by their nature, a case says for which it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from boot_machines import SECTOR, Fault
from boot_plans import OFFSETS, PARTITION, copy_of, environment_of, partition_of, variables

from bistable.tools.boot import Loader, envfiles

BOTH = (Loader.UBOOT, Loader.GRUB)
UBOOT = (Loader.UBOOT,)
GRUB = (Loader.GRUB,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row: `starts` says for each boot in a row which slot's kernel runs; None: none, the machine resets."""

    name: str
    environment: Callable[[Loader], bytes]
    starts: tuple[str | None, ...]
    kernels: str = "ab"
    """Slots that have a kernel."""
    loaders: tuple[Loader, ...] = BOTH
    faults: tuple[Fault, ...] = ()
    says: tuple[str, ...] = ()
    """Lines on the console of the first boot, among others."""
    quick: bool = field(default=False)
    """Run with GRUB, too, when time is short."""
    rare: bool = field(default=False)
    """Not even run with U-Boot then."""


def activated(**changes: object) -> Callable[[Loader], bytes]:
    return lambda loader: environment_of(loader, variables(**changes))


def _write_fails(*copies: int) -> tuple[Fault, ...]:
    return tuple(Fault(kind="write", sector=OFFSETS[copy] // SECTOR) for copy in copies)


def _read_fails(copy: int) -> tuple[Fault, ...]:
    return (Fault(kind="read", sector=OFFSETS[copy] // SECTOR),)


def damaged(*copies: int, how: Callable[[bytes, bytes], bytes], newest: int = 0) -> Callable[[Loader], bytes]:
    """An activated update, before which b was being written; damage gets the copy and what was there before."""

    def environment(loader: Loader) -> bytes:
        new, old = variables(), variables(order="a", b_tries=0)
        first, second = (new, old) if newest == 0 else (old, new)
        numbers = (5, 4) if newest == 0 else (4, 5)
        both = [copy_of(loader, first, numbers[0]), copy_of(loader, second, numbers[1])]
        before = copy_of(loader, variables(order="a b", a_good=1, b_good=1, b_tries=0), 3)
        for copy in copies:
            both[copy] = how(both[copy], before)
        return partition_of(loader, both[0], both[1])

    return environment


def flipped(copy: bytes, _before: bytes) -> bytes:
    at = copy.index(b"bistable_b_tries=") + len(b"bistable_b_tries=")
    return copy[:at] + bytes([copy[at] ^ 0x40]) + copy[at + 1 :]


def zeroed(copy: bytes, _before: bytes) -> bytes:
    return bytes(len(copy))


def erased(copy: bytes, _before: bytes) -> bytes:
    return b"\xff" * len(copy)


def torn(copy: bytes, before: bytes) -> bytes:
    """The beginning of what was being written, and the rest of what was there before."""
    middle = copy.index(b"bistable_b_good")
    return copy[:middle] + before[middle:]


def cut_off(copy: bytes, _before: bytes) -> bytes:
    """The beginning of what was being written, and nothing after it."""
    return copy[: copy.index(b"bistable_b_good")].ljust(len(copy), b"\0")


def _counters(first: int, second: int, *, swapped: bool = False) -> Callable[[Loader], bytes]:
    """The first copy says a is good, the second that b is to be tried; or the other way round."""

    def environment(loader: Loader) -> bytes:
        states = variables(order="a", b_tries=0), variables()
        one, other = states[::-1] if swapped else states
        return partition_of(loader, copy_of(loader, one, first), copy_of(loader, other, second))

    return environment


def _hostile() -> tuple[Case, ...]:
    """Values that no program of ours writes. U-Boot takes each variable for itself, GRUB refuses the whole copy.

    Not here: values in quotes, which U-Boot's shell takes away.
    """
    cases = []
    orders = (
        "c", "a c", "a a", "a b a", "A", "a,b", "-z", "a; reset", "'", "a'b", 'a"b', "$(reset)", "${bootcmd}",
        "x" * 300,
    )  # fmt: skip
    for order in orders:
        # Nothing is known: a is tried first, as on trial. GRUB goes by the other copy, in which b is on trial.
        cases += [
            Case(
                name=f"order is {order[:12]!r}",
                environment=activated(order=order),
                starts=("a",),
                loaders=UBOOT,
                says=("bistable: trying slot a, 2 tries left",),
                rare=order not in {"a a", "'"},
            ),
            Case(name=f"order is {order[:12]!r}", environment=activated(order=order), starts=("b",), loaders=GRUB),
        ]
    for value in ("2", "yes", "01", "", "-n", "1 1", '"1"', "'"):
        cases.append(
            Case(
                name=f"a_good is {value!r}",
                environment=activated(order="a b", a_good=value),
                starts=("b",),
                says=("bistable: passed over slot a: no tries left",) if value else (),
                loaders=UBOOT,
                rare=value not in {"2", "'"},
            )
        )
    cases.append(Case(name="a_good is '2'", environment=activated(order="a b", a_good=2), starts=("b",), loaders=GRUB))
    for value in ("10", "x", "0x3", "-1", "3;", "f", "a", " 3", "'"):
        cases.append(
            Case(
                name=f"b_tries is {value!r}",
                environment=activated(b_tries=value),
                starts=("a",),
                says=("bistable: passed over slot b: no tries left", "bistable: booting slot a"),
                loaders=UBOOT,
                rare=value not in {"10", "x"},
            )
        )
    cases.append(Case(name="b_tries is 'f'", environment=activated(b_tries="f"), starts=("b",), loaders=GRUB))
    for value in ("2", "", "yes", "'"):
        cases.append(
            Case(name=f"seen is {value!r}", environment=activated(seen=value), starts=("b",), rare=value != "2")
        )
    for name in ("order", "a_good", "b_tries", "seen"):
        starts = {"order": "a", "a_good": "b", "b_tries": "a", "seen": "b"}[name]
        changes: dict[str, object] = {name: None}
        cases.append(Case(name=f"no {name}", environment=activated(**changes), starts=(starts,), loaders=UBOOT))
    return tuple(cases)


def _damaged() -> tuple[Case, ...]:
    cases = []
    for how in (flipped, zeroed, erased, cut_off, torn):
        word = how.__name__.replace("_", " ")
        # A mixture of two blocks looks like a block. But GRUB writes sectors, and all lines are in one of them.
        loaders = UBOOT if how is torn else BOTH
        cases += [
            Case(
                name=f"newest copy {word}, it is the first",
                environment=damaged(0, how=how),
                starts=("a",),
                says=("bistable: copies=bad,ok current=1 order=a a=good b=no",),
                loaders=loaders,
                quick=how is cut_off,
            ),
            Case(
                name=f"newest copy {word}, it is the second",
                environment=damaged(1, how=how, newest=1),
                starts=("a",),
                loaders=loaders,
                says=("bistable: copies=ok,bad current=0 order=a a=good b=no",),
            ),
            Case(
                name=f"older copy {word}",
                environment=damaged(1, how=how),
                starts=("b", "b", "b", "a"),
                says=(
                    "bistable: copies=ok,bad current=0 order=b a a=good b=3",
                    "bistable: trying slot b, 2 tries left",
                ),
            ),
            Case(
                name=f"both copies {word}",
                environment=damaged(0, 1, how=how),
                starts=("a", "a", "a", "b", "b", "b", None, "a") if how is flipped else ("a",),
                says=("bistable: copies=bad,bad current=none order=a b a=3 b=3",),
                loaders=BOTH if how is flipped else UBOOT,
            ),
        ]
    # GRUB cannot save into a block without header or free space: then it boots without counting.
    for how in (zeroed, erased, cut_off):
        cases.append(
            Case(
                name=f"both copies {how.__name__.replace('_', ' ')}",
                environment=damaged(0, 1, how=how),
                starts=("a", "a"),
                says=(
                    "bistable: copies=bad,bad current=none order=a b a=3 b=3",
                    "bistable: passed over slot a: cannot count",
                    "bistable: passed over slot b: cannot count",
                    "bistable: nothing boots, all slots get their tries again",
                    "bistable: booting slot a",
                ),
                loaders=GRUB,
                quick=how is zeroed,
            )
        )
    return tuple(cases)


def no_directory(loader: Loader) -> bytes:
    environment = environment_of(loader, variables())
    return environment[: envfiles.START] + bytes(PARTITION - envfiles.START)


def between_sectors(loader: Loader) -> bytes:
    """The power fails while GRUB saves: the first sector of the older copy is new, the second is still the old one."""
    old, new = copy_of(loader, variables(b_tries=1), 5), copy_of(loader, variables(b_tries=0), 6)
    older = copy_of(loader, variables(b_tries=2), 4)
    return partition_of(loader, old, new[:SECTOR] + older[SECTOR:])


def without_second_sector(loader: Loader) -> bytes:
    """The older copy has all its lines, but the rest of it is not free space any more."""
    older = copy_of(loader, variables(b_tries=2), 4)
    return partition_of(loader, copy_of(loader, variables(), 5), older[:SECTOR] + bytes(len(older) - SECTOR))


CASES: tuple[Case, ...] = (
    Case(name="power cut between the sectors of a block", environment=between_sectors, starts=("a",), loaders=GRUB),
    Case(
        name="second sector of the older copy lost: saved in place",
        environment=without_second_sector,
        starts=("b", "b", "b", "a"),
        loaders=GRUB,
        says=(
            "bistable: copies=ok,ok current=0 order=b a a=good b=3",
            "bistable: trying slot b, 2 tries left",
        ),
    ),
    Case(
        name="update, 3 tries, never confirmed",
        environment=activated(),
        starts=("b", "b", "b", "a", "a"),
        says=(
            "bistable: copies=ok,ok current=0 order=b a a=good b=3",
            "bistable: trying slot b, 2 tries left",
        ),
        quick=True,
    ),
    Case(name="update, 1 try", environment=activated(b_tries=1), starts=("b", "a")),
    Case(name="update, 9 tries", environment=activated(b_tries=9), starts=("b",) * 9 + ("a",)),
    Case(
        name="update confirmed",
        environment=activated(b_good=1, b_tries=0),
        starts=("b", "b"),
        says=("bistable: copies=ok,ok current=0 order=b a a=good b=good", "bistable: booting slot b"),
    ),
    Case(name="update given up", environment=activated(order="a", b_tries=0), starts=("a", "a")),
    Case(name="good slot with tries is not counted", environment=activated(order="a b", a_tries=2), starts=("a", "a")),
    Case(
        name="forbidden slot is not tried although it has tries",
        environment=activated(order="a", a_good=0, a_tries=1, b_tries=9),
        starts=("a", None, "a"),
    ),
    Case(name="canary is set, then the trial counted", environment=activated(seen=0), starts=("b", "b", "b", "a")),
    Case(
        name="nothing left, tries again",
        environment=activated(a_good=0, b_tries=0),
        starts=(None, "b", "b", "b", "a"),
        says=(
            "bistable: passed over slot b: no tries left",
            "bistable: passed over slot a: no tries left",
            "bistable: nothing boots, all slots get their tries again",
        ),
    ),
    Case(
        name="new slot without kernel",
        environment=activated(),
        starts=(None, None, None, "a"),
        kernels="a",
        says=("bistable: slot b cannot be loaded",),
        quick=True,
    ),
    Case(
        name="good slot without kernel, other good",
        environment=activated(b_good=1, b_tries=0),
        starts=("a", "a"),
        kernels="a",
        says=("bistable: slot b cannot be loaded", "bistable: booting slot a"),
    ),
    Case(
        name="good slot without kernel, other on trial",
        environment=activated(order="a b"),
        starts=("b", "b", "b", None, "b"),
        kernels="b",
    ),
    Case(
        name="update failed, and the good slot has lost its kernel",
        environment=activated(b_tries=0),
        starts=(None, "b"),
        kernels="b",
        says=(
            "bistable: passed over slot b: no tries left",
            "bistable: slot a cannot be loaded",
            "bistable: nothing boots, all slots get their tries again",
        ),
    ),
    Case(name="no kernel anywhere", environment=activated(), starts=(None,) * 5, kernels=""),
    Case(
        name="only good slot without kernel: nothing is saved",
        environment=activated(order="a", b_tries=0),
        starts=(None, None),
        kernels="b",
        says=("bistable: nothing boots, all slots get their tries again",),
    ),
    Case(
        name="try cannot be saved",
        environment=activated(),
        starts=("a", "a"),
        faults=_write_fails(1),
        loaders=UBOOT,
        says=(
            "bistable: cannot save the environment",
            "bistable: passed over slot b: cannot count",
            "bistable: booting slot a",
        ),
    ),
    Case(
        name="older copy cannot be written: saved in place",
        environment=activated(),
        starts=("b", "b", "b", "a"),
        faults=_write_fails(1),
        loaders=GRUB,
        says=("bistable: trying slot b, 2 tries left",),
        quick=True,
    ),
    Case(
        name="neither copy can be written",
        environment=activated(),
        starts=("a", "a"),
        faults=_write_fails(0, 1),
        says=("bistable: passed over slot b: cannot count", "bistable: booting slot a"),
    ),
    Case(
        name="neither copy can be written, and canary not set",
        environment=activated(order="a", seen=0, b_tries=0),
        starts=("a", "a"),
        faults=_write_fails(0, 1),
        says=("bistable: cannot save the environment", "bistable: booting slot a"),
    ),
    Case(
        name="neither copy can be written, and nothing is good",
        environment=activated(a_good=0),
        starts=("b", "b", "b", "b"),
        faults=_write_fails(0, 1),
        says=(
            "bistable: passed over slot b: cannot count",
            "bistable: nothing boots, all slots get their tries again",
            "bistable: cannot save the environment",
            "bistable: booting slot b",
        ),
    ),
    Case(
        name="neither copy can be written, nothing is good, first one without kernel",
        environment=activated(a_good=0),
        starts=("a", "a"),
        kernels="a",
        faults=_write_fails(0, 1),
        says=("bistable: booting slot b", "bistable: slot b cannot be loaded", "bistable: booting slot a"),
    ),
    Case(
        name="newest copy cannot be read",
        environment=damaged(how=flipped),
        starts=("a",),
        faults=_read_fails(0),
        says=("bistable: copies=bad,ok current=1 order=a a=good b=no",),
    ),
    Case(name="counter 255 to 0 on the disk", environment=_counters(255, 0), starts=("b",), loaders=UBOOT),
    Case(name="counter 0 and 255 on the disk", environment=_counters(0, 255), starts=("a",), loaders=UBOOT),
    Case(name="counter wraps when saved", environment=_counters(254, 255), starts=("b", "b", "b", "a"), loaders=UBOOT),
    Case(name="counters are equal", environment=_counters(7, 7), starts=("a",), loaders=UBOOT),
    Case(name="counters far apart", environment=_counters(3, 200), starts=("b",), loaders=UBOOT),
    Case(name="number 9 and 0 on the disk", environment=_counters(9, 0), starts=("b",), loaders=GRUB),
    Case(name="number 0 and 9 on the disk", environment=_counters(0, 9), starts=("a",), loaders=GRUB),
    Case(
        name="number wraps when saved",
        environment=_counters(8, 9),
        starts=("b", "b", "b", "a"),
        loaders=GRUB,
        quick=True,
    ),
    Case(name="numbers are equal", environment=_counters(7, 7, swapped=True), starts=("b",), loaders=GRUB),
    Case(name="numbers with a gap", environment=_counters(3, 7), starts=("a",), loaders=GRUB),
    Case(
        name="directory of the partition lost",
        environment=no_directory,
        starts=("a", "a"),
        loaders=GRUB,
        says=("bistable: copies=bad,bad current=none order=a b a=3 b=3", "bistable: booting slot a"),
    ),
    *_damaged(),
    *_hostile(),
)
