"""What every boot loader does, whatever it is: one table of behaviour for all of them."""

import shutil
from pathlib import Path

import pytest
from client_boot import A, B, Device
from client_boot_devices import DEVICES

from bistable.client.boot import CurrentSlot, Rearming, SlotStatus
from bistable.client.errors import BootError

SHORT_BOOTS = 20


def made(name: str, folder: Path) -> Device:
    if name.startswith("uboot") and shutil.which("fw_setenv") is None:
        pytest.skip("the program fw_setenv is not installed (Debian package libubootenv-tool)")
    return DEVICES[name](folder)


@pytest.fixture(params=sorted(DEVICES))
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Device:
    return made(request.param, tmp_path)


@pytest.fixture(params=sorted(DEVICES.keys() - {"custom", "raspberry-pi"}))
def rearming(request: pytest.FixtureRequest, tmp_path: Path) -> Device:
    """One that can give a trial its tries again, and so tells a trial from a good slot."""
    return made(request.param, tmp_path)


@pytest.fixture(params=sorted(DEVICES.keys() - {"uboot-mender", "grub-mender"}))
def forbidding(request: pytest.FixtureRequest, tmp_path: Path) -> Device:
    """One that has a mark for slots that must not be booted."""
    return made(request.param, tmp_path)


@pytest.fixture(params=["custom", "simulated"])
def knowing(request: pytest.FixtureRequest, tmp_path: Path) -> Device:
    """One whose back end knows what runs."""
    return made(request.param, tmp_path)


def rearm(device: Device) -> None:
    loader = device.loader
    assert isinstance(loader, Rearming)
    loader.rearm(B)


def install(device: Device) -> None:
    device.loader.forbid(B)
    device.loader.activate(B)


def install_and_boot(device: Device) -> None:
    install(device)
    assert device.power_on() == B


def test_a_new_device_boots_its_first_slot_for_ever(device: Device) -> None:
    assert device.loader.primary() == A
    assert {device.power_on() for _ in range(SHORT_BOOTS)} == {A}
    assert device.loader.status(A) == SlotStatus(bootable=True, good=True, tries_left=None)
    assert not device.loader.status(B).good


def test_an_activated_slot_is_tried_next(device: Device) -> None:
    install(device)
    assert device.loader.primary() == B
    assert device.loader.status(B).bootable
    assert device.power_on() == B


def test_an_activated_slot_is_not_good_before_it_is_confirmed(rearming: Device) -> None:
    install(rearming)
    assert rearming.loader.status(B) == SlotStatus(bootable=True, good=False, tries_left=rearming.tries)


def test_a_confirmed_slot_boots_for_ever(device: Device) -> None:
    install_and_boot(device)
    device.loader.confirm(B)
    assert device.loader.primary() == B
    assert device.loader.status(B) == SlotStatus(bootable=True, good=True, tries_left=None)
    assert {device.power_on() for _ in range(SHORT_BOOTS)} == {B}


def test_a_slot_that_does_not_come_up_is_given_up(device: Device) -> None:
    install(device)
    assert device.power_on(broken={"b"}) == A
    assert device.loader.primary() == A
    assert {device.power_on(broken={}) for _ in range(SHORT_BOOTS)} == {A}


def test_a_slot_that_is_never_confirmed_is_given_up(device: Device) -> None:
    install(device)
    booted = [device.power_on() for _ in range(device.tries + 2)]
    assert booted == [B] * device.tries + [A, A]


def test_before_the_reboot_one_can_go_back(device: Device) -> None:
    install(device)
    device.loader.restore(A)
    assert device.loader.primary() == A
    assert {device.power_on() for _ in range(SHORT_BOOTS)} == {A}


def test_from_a_trial_one_can_go_back(device: Device) -> None:
    install_and_boot(device)
    device.loader.restore(A)
    assert device.loader.primary() == A
    assert {device.power_on() for _ in range(SHORT_BOOTS)} == {A}


def test_after_a_confirmation_one_can_go_back_because_the_commit_may_have_failed_later(device: Device) -> None:
    install_and_boot(device)
    device.loader.confirm(B)
    device.loader.restore(A)
    assert {device.power_on() for _ in range(SHORT_BOOTS)} == {A}


def test_after_a_fallback_going_back_changes_nothing(device: Device) -> None:
    install(device)
    assert device.power_on(broken={"b"}) == A
    device.loader.restore(A)
    assert {device.power_on() for _ in range(SHORT_BOOTS)} == {A}


def test_a_forbidden_slot_is_not_bootable(device: Device) -> None:
    install(device)
    device.loader.forbid(B)
    assert device.loader.primary() == A
    assert device.loader.status(B) == SlotStatus(
        bootable=False, good=False, tries_left=device.loader.status(B).tries_left
    )
    assert {device.power_on() for _ in range(SHORT_BOOTS)} == {A}


def test_a_forbidden_slot_is_not_even_booted_when_nothing_else_comes_up(forbidding: Device) -> None:
    forbidding.loader.forbid(B)
    assert forbidding.power_on(broken={"a"}) is None


def test_updates_go_back_and_forth(device: Device) -> None:
    here, there = A, B
    for _ in range(4):
        device.loader.forbid(there)
        device.loader.activate(there)
        assert device.power_on() == there
        device.loader.confirm(there)
        assert device.power_on() == there
        here, there = there, here


def test_a_rearmed_trial_survives_any_number_of_power_cuts(rearming: Device) -> None:
    install_and_boot(rearming)
    for _ in range(SHORT_BOOTS):
        rearm(rearming)
        assert rearming.power_on() == B
    rearming.loader.confirm(B)
    assert rearming.power_on() == B


def test_a_rearmed_trial_that_then_breaks_is_given_up(rearming: Device) -> None:
    install_and_boot(rearming)
    rearm(rearming)
    assert rearming.power_on(broken={"b"}) == A


def test_rearming_a_confirmed_slot_leaves_it_confirmed(rearming: Device) -> None:
    install_and_boot(rearming)
    rearming.loader.confirm(B)
    rearm(rearming)
    assert {rearming.power_on() for _ in range(SHORT_BOOTS)} == {B}


def test_a_slot_that_was_given_up_cannot_be_rearmed(rearming: Device) -> None:
    install(rearming)
    assert rearming.power_on(broken={"b"}) == A
    with pytest.raises(BootError, match="cannot give slot b its tries again"):
        rearm(rearming)


def test_rearming_may_be_repeated(rearming: Device) -> None:
    install_and_boot(rearming)
    rearm(rearming)
    before = rearming.memory()
    rearm(rearming)
    assert rearming.memory() == before


def test_the_running_slot_cannot_be_forbidden(device: Device) -> None:
    with pytest.raises(BootError, match="cannot forbid slot a: it is running"):
        device.loader.forbid(A)
    install_and_boot(device)
    with pytest.raises(BootError, match="cannot forbid slot b: it is running"):
        device.loader.forbid(B)


def test_the_only_good_slot_cannot_be_forbidden_from_a_trial(rearming: Device) -> None:
    install_and_boot(rearming)
    with pytest.raises(BootError, match="cannot forbid slot a: slot b is not known to be good"):
        rearming.loader.forbid(A)


def test_a_trial_is_not_something_to_go_back_to(rearming: Device) -> None:
    install(rearming)
    with pytest.raises(BootError, match="cannot go back to slot b"):
        rearming.loader.restore(B)


def test_a_good_slot_cannot_be_put_on_trial_with_nothing_to_fall_back_to(device: Device) -> None:
    device.loader.forbid(B)
    with pytest.raises(BootError, match="cannot"):
        device.loader.activate(A)
    assert device.power_on() == A


def test_only_the_running_slot_can_be_confirmed(device: Device) -> None:
    install(device)
    with pytest.raises(BootError, match="cannot confirm slot b: slot a is running"):
        device.loader.confirm(B)
    assert device.power_on(broken={"b"}) == A
    with pytest.raises(BootError, match="cannot confirm slot b"):
        device.loader.confirm(B)


def test_a_trial_that_was_given_up_cannot_be_confirmed_any_more_though_it_runs(
    rearming: Device,
) -> None:
    install_and_boot(rearming)
    rearming.loader.restore(A)
    with pytest.raises(BootError, match="cannot confirm slot b"):
        rearming.loader.confirm(B)
    assert rearming.power_on() == A


def test_a_slot_that_does_not_exist_is_refused(device: Device) -> None:
    for call in (device.loader.forbid, device.loader.activate, device.loader.confirm, device.loader.restore):
        with pytest.raises(BootError, match="cannot find slot 'c': there are a and b"):
            call("c")  # type: ignore[arg-type]
    with pytest.raises(BootError, match="cannot find slot 'c'"):
        device.loader.status("c")  # type: ignore[arg-type]


def test_every_call_may_be_repeated(device: Device) -> None:
    install_and_boot(device)
    for call, slot in ((device.loader.confirm, B), (device.loader.forbid, A), (device.loader.activate, A)):
        call(slot)
        before = device.memory()
        call(slot)
        assert device.memory() == before
    device.loader.restore(B)
    before = device.memory()
    device.loader.restore(B)
    assert device.memory() == before


def test_a_back_end_that_knows_what_runs_says_it(knowing: Device) -> None:
    install_and_boot(knowing)
    loader = knowing.loader
    assert isinstance(loader, CurrentSlot)
    assert loader.current() == B
