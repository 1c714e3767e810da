"""The boot loader's environment, damaged in every way that matters: a slot that is good still boots."""

from pathlib import Path

import pytest

from bistable.qemu.kinds import Kind
from bistable.tools.boot import decide
from bistable.tools.boot.decide import CopyState
from boot_bench import Bench, bench

pytestmark = [pytest.mark.boots, pytest.mark.slow]
KINDS = [Kind.X86_64_GRUB, Kind.ARM64_UBOOT]


def copies(it: Bench) -> tuple[CopyState, ...]:
    """What the environment's partition holds, as the product itself reads it."""
    return decide(it.rig.plan, it.partition("boot-env")).copies


def damage(it: Bench, number: int) -> None:
    """Turn over the bits of one byte that counts in a copy."""
    place = it.rig.plan.environment
    assert place is not None
    offset = place.offsets[number] + 30
    old = it.partition("boot-env")[offset]
    it.overwrite("boot-env", offset, bytes([old ^ 0xFF]))
    assert not copies(it)[number].valid


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_machine_boots_its_good_slot_whichever_copies_are_damaged(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        assert it.machine.is_on
        it.device.boot()
        it.update(it.offer("release-2"))
        it.device.cut_power()

        # The newer copy: it says that b is good. The older one knows b as new, with a try less.
        newer = next(number for number, copy in enumerate(copies(it)) if copy.newest)
        damage(it, newer)
        assert it.device.boot() == "b"
        assert it.release() == "release-2"
        # The client sees an update that is not confirmed, and confirms it again.
        it.ctl("recover")
        assert it.slots()["state"]["b"]["good"]
        it.device.cut_power()

        # The older copy: nothing is lost, and the next change mends it.
        older = next(number for number, copy in enumerate(copies(it)) if not copy.newest)
        damage(it, older)
        assert it.device.boot() == "b"
        assert it.summary().endswith("a=good b=good")
        it.device.cut_power()

        # Both: what is good is not known any more, so a is tried, then b; each works.
        for number in (0, 1):
            if copies(it)[number].valid:
                damage(it, number)
        assert it.device.boot() in {"a", "b"}
        assert "copies=bad,bad" in it.summary()
        assert it.release() in {"release-1", "release-2"}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_machine_boots_with_an_environment_that_was_erased(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        assert it.machine.is_on
        it.device.boot()
        it.device.cut_power()
        size = it.rig.geometry.partition("boot-env").size
        it.overwrite("boot-env", 0, b"\xff" * size)
        assert it.device.boot() == "a"
        assert it.release() == "release-1"
