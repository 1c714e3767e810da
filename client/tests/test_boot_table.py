"""The table of slots: what every call makes of it, and what it refuses."""

from collections.abc import Callable

import pytest
from client_boot import A, B

from bistable.client.boot import SlotStatus
from bistable.client.boot.table import RENEWED_TRIES, Table
from bistable.client.errors import BootError


def table(order: str, *, good: str = "", a: int = 0, b: int = 0) -> Table:
    slots = {"a": A, "b": B}
    return Table(
        names=(A, B),
        order=tuple(slots[name] for name in order),
        good=frozenset(slots[name] for name in good),
        tries={A: a, B: b},
    )


TRIAL = table("ba", good="a", b=3)
CASES = [
    ("forbid the other slot", TRIAL, lambda t: t.forbid(B, booted=A), table("a", good="a")),
    ("forbid the older good slot", table("ba", good="ab"), lambda t: t.forbid(A, booted=B), table("b", good="b")),
    ("activate what was forbidden", table("a", good="a"), lambda t: t.activate(B, tries=3, booted=A), TRIAL),
    ("activate a trial once more", table("ba", good="a", b=1), lambda t: t.activate(B, tries=3, booted=B), TRIAL),
    ("activate the older good slot", table("ba", good="ab"), lambda t: t.activate(A, tries=2, booted=B),
     table("ab", good="b", a=2)),
    ("confirm a trial", TRIAL, lambda t: t.confirm(B, booted=B), table("ba", good="ab")),
    ("confirm the last try", table("ba", good="a"), lambda t: t.confirm(B, booted=B), table("ba", good="ab")),
    ("confirm instead of the other's trial", TRIAL, lambda t: t.confirm(A, booted=A), table("a", good="a")),
    ("confirm what runs after all was lost", table("ab", a=2, b=3), lambda t: t.confirm(A, booted=A),
     table("a", good="a")),
    ("restore before the reboot", TRIAL, lambda t: t.restore(A, booted=A), table("a", good="a")),
    ("restore from the trial", TRIAL, lambda t: t.restore(A, booted=B), table("a", good="a")),
    ("restore after the commit", table("ba", good="ab"), lambda t: t.restore(A, booted=B), table("a", good="a")),
    ("restore what runs after all was lost", table("ab", a=2, b=3), lambda t: t.restore(A, booted=A),
     table("a", good="a")),
    ("rearm", table("ba", good="a", b=0), lambda t: t.rearm(B, tries=3, booted=B), TRIAL),
    ("rearm what is good", table("ba", good="ab"), lambda t: t.rearm(B, tries=3, booted=B), table("ba", good="ab")),
    ("renew", table("ba"), lambda t: t.renewed(), table("ba", a=RENEWED_TRIES, b=RENEWED_TRIES)),
    ("renew leaves out what is forbidden", table("b"), lambda t: t.renewed(), table("b", b=RENEWED_TRIES)),
    ("renew leaves out what is good", table("ba", good="a"), lambda t: t.renewed(),
     table("ba", good="a", b=RENEWED_TRIES)),
    ("count a trial", TRIAL, lambda t: t.counted(B), table("ba", good="a", b=2)),
    ("do not count a good slot", TRIAL, lambda t: t.counted(A), TRIAL),
]  # fmt: skip
REFUSED = [
    (table("a", good="a"), lambda t: t.forbid(A, booted=A), "cannot forbid slot a: it is running"),
    (table("ba", good="ab"), lambda t: t.forbid(A, booted=A), "cannot forbid slot a: it is running"),
    (TRIAL, lambda t: t.forbid(A, booted=B), "cannot forbid slot a: slot b is not known to be good"),
    (table("a", good="ab"), lambda t: t.forbid(A, booted=None), "cannot forbid slot a: slot b is not known to be good"),
    (table("a", good="a"), lambda t: t.activate(A, tries=3, booted=None), "slot b is not known to be good"),
    (table("ab", a=3, b=3), lambda t: t.activate(B, tries=3, booted=A), "slot a is not known to be good"),
    (table("ab", good="ab"), lambda t: t.activate(A, tries=3, booted=A), "it is running and known to be good"),
    (TRIAL, lambda t: t.confirm(B, booted=A), "cannot confirm slot b: slot a is running"),
    (table("a", good="a"), lambda t: t.confirm(B, booted=B), "cannot confirm slot b: it must not be booted"),
    (table("a", good="a"), lambda t: t.confirm(B, booted=None), "cannot confirm slot b: it must not be booted"),
    (TRIAL, lambda t: t.restore(B, booted=A), "cannot go back to slot b: slot b is not known to be good"),
    (TRIAL, lambda t: t.restore(B, booted=B), "cannot go back to slot b: slot b is not known to be good"),
    (table("ab", a=2, b=3), lambda t: t.restore(B, booted=A), "cannot go back to slot b"),
    (table("ab", a=2, b=3), lambda t: t.restore(A, booted=None), "cannot go back to slot a"),
    (TRIAL, lambda t: t.rearm(B, tries=3, booted=A), "cannot give slot b its tries again: slot a is running"),
    (table("a", good="a"), lambda t: t.rearm(B, tries=3, booted=B), "no longer the first choice"),
    (table("ab", good="a"), lambda t: t.rearm(B, tries=3, booted=B), "no longer the first choice"),
    (table("ba"), lambda t: t.primary(), "no slot may be booted"),
]


@pytest.mark.parametrize(("before", "call", "after"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_call_makes_of_the_table_what_is_written_in_it(
    before: Table, call: Callable[[Table], Table], after: Table
) -> None:
    assert call(before) == after


@pytest.mark.parametrize(("before", "call", "after"), [case[1:] for case in CASES if case[0] != "count a trial"])
def test_every_call_may_be_made_twice(before: Table, call: Callable[[Table], Table], after: Table) -> None:
    assert call(after) == after


@pytest.mark.parametrize(("before", "call", "words"), REFUSED)
def test_what_would_endanger_the_device_is_refused(before: Table, call: Callable[[Table], object], words: str) -> None:
    with pytest.raises(BootError) as caught:
        call(before)
    assert words in caught.value.what


@pytest.mark.parametrize(
    ("found", "a", "b", "candidates"),
    [
        (table("a", good="a"), SlotStatus(bootable=True, good=True, tries_left=None),
         SlotStatus(bootable=False, good=False, tries_left=0), (A,)),
        (TRIAL, SlotStatus(bootable=True, good=True, tries_left=None),
         SlotStatus(bootable=True, good=False, tries_left=3), (B, A)),
        (table("ba", good="a"), SlotStatus(bootable=True, good=True, tries_left=None),
         SlotStatus(bootable=False, good=False, tries_left=0), (A,)),
    ],
)  # fmt: skip
def test_the_table_says_what_may_be_booted(
    found: Table, a: SlotStatus, b: SlotStatus, candidates: tuple[str, ...]
) -> None:
    assert (found.status(A), found.status(B)) == (a, b)
    assert found.candidates() == candidates
    assert found.primary() == candidates[0]
