"""Updates on machines that boot: what is committed stays, what does not come up is rolled back by the boot script."""

from pathlib import Path

import pytest

from bistable.qemu.kinds import Kind
from bistable.qemu.rig import Change, Put
from bistable.tools.bench import patience
from boot_bench import ANY, HANGS, NO_INIT, NO_KERNEL, PANIC, PANICS, STOPS_FEEDING, Bench, bench

MUST = [Kind.X86_64_GRUB, Kind.ARM64_UBOOT]
WATCHED = "bistable.watchdog"


def rolled_back(it: Bench, running: str, release: str) -> None:
    """The device knows that the update did not come up, and runs what it ran."""
    recovered = it.ctl("recover", allowed=ANY)
    assert (recovered["result"], recovered["error"]["code"]) == ("failure", "not-booted")
    assert it.release() == release
    status = it.ctl("status")
    assert (status["artifact"], status["update"], status["slots"]["running"]) == (release, None, running)
    assert status["slots"]["next"] == running


@pytest.mark.boots
@pytest.mark.parametrize("kind", MUST, ids=str)
def test_an_update_stays_when_it_is_committed_and_a_broken_one_is_rolled_back(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        # As it comes out of the factory.
        assert it.device.boot() == "a"
        assert it.release() == "release-1"
        assert it.loader_said() == ["bistable: booting slot a"]

        # A good update.
        it.install(it.offer("release-2"))
        assert it.device.reboot() == "b"
        assert it.release() == "release-2"
        assert it.loader_said()[1:] == ["bistable: trying slot b, 2 tries left"]
        assert it.ctl("commit")["result"] == "success"

        # A broken one. Slot b is good, so nothing is lost.
        it.install(it.offer("release-3", NO_KERNEL))
        assert it.device.reboot() == "b"
        assert it.loader_said()[2:] == [
            "bistable: trying slot a, 2 tries left",
            "bistable: slot a cannot be loaded",
            "bistable: trying slot a, 1 tries left",
            "bistable: slot a cannot be loaded",
            "bistable: trying slot a, 0 tries left",
            "bistable: slot a cannot be loaded",
            "bistable: passed over slot a: no tries left",
            "bistable: booting slot b",
        ]
        rolled_back(it, "b", "release-2")


OTHERS = [Kind.ARM64_GRUB, Kind.ARMHF_UBOOT, Kind.X86_64_SYSTEMD_BOOT, Kind.X86_64_EFI]


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS, ids=str)
def test_other_machines_keep_an_update_and_roll_a_broken_one_back_too(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it, it.machine.console.tolerating(PANIC):
        assert it.device.boot() == "a"
        assert it.update(it.offer("release-2")) == "b"
        it.install(it.offer("release-3", NO_INIT))
        assert it.device.reboot() == "b"
        rolled_back(it, "b", "release-2")


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize("kind", MUST, ids=str)
def test_an_update_that_nobody_commits_is_tried_as_often_as_allowed_and_then_left(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        it.device.boot()
        it.install(it.offer("release-2"))
        assert [it.device.reboot() for _ in range(4)] == ["b", "b", "b", "a"]
        rolled_back(it, "a", "release-1")


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize("kind", MUST, ids=str)
@pytest.mark.parametrize("change", [NO_INIT, PANICS], ids=["without-init", "panics"])
def test_a_kernel_that_panics_three_times_is_given_up(kind: Kind, change: Change, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it, it.machine.console.tolerating(PANIC):
        it.device.boot()
        it.install(it.offer("release-2", change))
        assert it.device.reboot() == "a"
        assert sum(PANIC in line for line in it.machine.console.text().splitlines()) == 3
        rolled_back(it, "a", "release-1")


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize("kind", MUST, ids=str)
def test_a_system_that_hangs_is_given_up_when_somebody_resets_it_three_times(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        it.device.boot()
        it.install(it.offer("release-2", HANGS))
        it.machine.console.send("reboot")
        for _ in range(3):
            it.machine.console.expect("it hangs", seconds=patience.BOOT)
            it.machine.reset()
        assert it.device.boot() == "a"
        rolled_back(it, "a", "release-1")


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize("kind", MUST, ids=str)
def test_a_system_that_hangs_is_given_up_by_the_watchdog(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path, arguments=WATCHED) as it:
        it.device.boot()
        it.install(it.offer("release-2", STOPS_FEEDING))
        assert it.device.reboot() == "a"
        assert it.loader_said()[1:4] == [f"bistable: trying slot b, {left} tries left" for left in (2, 1, 0)]
        rolled_back(it, "a", "release-1")


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize("kind", MUST, ids=str)
def test_many_updates_in_a_row_use_the_slots_in_turn(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        it.device.boot()
        slots = []
        for number in range(2, 8):
            name = f"release-{number}"
            slots.append(it.update(it.offer(name, Put(path="/etc/number", content=b"%d" % number))))
            assert it.release() == name
        assert slots == ["b", "a"] * 3
        assert [slot["good"] for slot in it.slots()["state"].values()] == [True, True]
