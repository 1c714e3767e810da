"""The boot script for slots in UBI, in a U-Boot that really has its environment, the script and the slots there.

U-Boot is built by `tools/build_uboot.sh ubi` with the configuration that the plan makes; without it, and without
BISTABLE_BUILD_UBOOT=1 to build it now, these are skipped.
"""

from pathlib import Path

import pytest
from boot_machines import BOARD
from boot_plans import variables
from ubi_machine import FILES, PLAN, ROOT, FlashImage, make_flash

from bistable.tools.boot.ubigeometry import ENVIRONMENTS

BOOT_COMMAND = "ubi part ubi && ubi read ${scriptaddr} boot-script && source ${scriptaddr}; reset"
SELF = {name: value for name, value in BOARD.items() if not name.endswith("_high")} | {"bootcmd": BOOT_COMMAND}
"""What U-Boot saves beside our variables: it forgets what it was built with when it finds an environment."""


def flash(folder: Path, kernels: str = "ab", **changes: object) -> FlashImage:
    return make_flash(folder, {**SELF, **variables(**changes)}, kernels=kernels)


def test_the_u_boot_that_is_built_has_the_configuration_that_the_plan_makes() -> None:
    built = (ROOT / "tools" / "u-boot" / "ubi.config").read_text()
    assert built.endswith("\n" + FILES.uboot)


@pytest.mark.boots
@pytest.mark.slow
def test_a_new_device_tries_its_first_slot_and_leaves_the_canary(tmp_path: Path) -> None:
    device = make_flash(tmp_path, kernels="a-")
    boot = device.boot()
    assert boot.said == [
        "bistable: nothing is known of the slots",
        "bistable: copies=ok,ok current=unknown order=a b a=3 b=3",
        "bistable: trying slot a, 2 tries left",
        "KERNEL a",
    ]
    assert device.environment() == {
        "bistable_order": "a b",
        "bistable_seen": "1",
        "bistable_a_good": "0",
        "bistable_a_tries": "2",
        "bistable_b_good": "0",
        "bistable_b_tries": "3",
    }


@pytest.mark.boots
@pytest.mark.slow
def test_a_trial_is_counted_and_given_up(tmp_path: Path) -> None:
    device = flash(tmp_path)
    said = [device.boot().said for _ in range(5)]
    assert [lines[-1] for lines in said] == ["KERNEL b", "KERNEL b", "KERNEL b", "KERNEL a", "KERNEL a"]
    assert said[0] == [
        "bistable: copies=ok,ok current=unknown order=b a a=good b=3",
        "bistable: trying slot b, 2 tries left",
        "KERNEL b",
    ]
    assert said[4][1:3] == ["bistable: passed over slot b: no tries left", "bistable: booting slot a"]
    assert device.environment()["bistable_b_tries"] == "0"


@pytest.mark.boots
@pytest.mark.slow
def test_a_good_slot_writes_nothing(tmp_path: Path) -> None:
    device = flash(tmp_path, order="a", b_tries=0)
    assert device.boot().started == "a"
    before = device.path.read_bytes()
    assert device.boot().started == "a"
    assert device.path.read_bytes() == before


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["a", "a-"], ids=["no kernel", "nothing at all"])
def test_a_good_slot_that_cannot_be_loaded_gives_way_to_the_other(tmp_path: Path, kernels: str) -> None:
    device = flash(tmp_path, kernels, order="b a", b_good=1)
    boot = device.boot()
    assert boot.said[1:] == [
        "bistable: booting slot b",
        "bistable: slot b cannot be loaded",
        "bistable: booting slot a",
        "KERNEL a",
    ]
    assert "Synchronous Abort" not in boot.console


@pytest.mark.boots
@pytest.mark.slow
def test_a_slot_whose_writing_was_interrupted_cannot_be_loaded(tmp_path: Path) -> None:
    device = flash(tmp_path, order="b a", b_good=1)
    device.interrupt("rootfs-b")
    assert device.boot().said[1:] == [
        "bistable: booting slot b",
        "bistable: slot b cannot be loaded",
        "bistable: booting slot a",
        "KERNEL a",
    ]


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize(("broken", "copies"), [(0, "broken,ok"), (1, "ok,broken")])
def test_a_copy_of_the_environment_whose_writing_was_interrupted_is_written_anew(
    tmp_path: Path, broken: int, copies: str
) -> None:
    """Without that, the tools of Linux could read no copy at all."""
    device = flash(tmp_path, order="a", b_tries=0)
    device.interrupt(ENVIRONMENTS[broken])
    assert device.is_unfinished(ENVIRONMENTS[broken])
    boot = device.boot()
    assert boot.said == [
        "bistable: a copy of the environment is broken, it is written anew",
        f"bistable: copies={copies} current=unknown order=a a=good b=no",
        "bistable: booting slot a",
        "KERNEL a",
    ]
    assert not device.is_unfinished(ENVIRONMENTS[broken])
    assert device.environment()["bistable_order"] == "a"
    assert device.boot().said[0] == "bistable: copies=ok,ok current=unknown order=a a=good b=no"


@pytest.mark.boots
@pytest.mark.slow
def test_without_any_environment_a_device_comes_up_and_has_two_copies_again(tmp_path: Path) -> None:
    device = flash(tmp_path, order="a", b_tries=0)
    for name in ENVIRONMENTS:
        device.interrupt(name)
    assert device.boot().started == "a"
    assert device.boot().started == "a"
    assert not any(device.is_unfinished(name) for name in ENVIRONMENTS)


@pytest.mark.boots
@pytest.mark.slow
def test_data_takes_what_is_left_when_the_device_starts_for_the_first_time(tmp_path: Path) -> None:
    device = make_flash(tmp_path)
    boot = device.boot()
    assert 'volume 5 ("data") re-sized from 17 to' in boot.console
    assert PLAN.data_size is None
