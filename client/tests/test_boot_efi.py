"""UEFI as the boot loader: BootNext is one try, BootOrder what stays; cut at every variable, something good starts."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from client_boot import A, B
from client_boot_efi import EfiDevice, install, order

from bistable.client.boot import Bootloader
from bistable.client.boot.efi.options import parse_option, render_numbers
from bistable.client.boot.ports import Faulty, Probing, Rearming
from bistable.client.errors import BootError


@pytest.fixture
def device(tmp_path: Path) -> EfiDevice:
    return EfiDevice(tmp_path)


def active(device: EfiDevice, number: int) -> bool:
    return parse_option(device.variables.values[f"Boot{number:04X}"]).active


def test_a_trial_is_boot_next_and_stays_behind_the_good_one(device: EfiDevice) -> None:
    install(device)
    assert device.variables.values["BootNext"] == b"\x02\x00"
    assert order(device) == (1, 2, 3)
    assert device.power_on() == B
    assert "BootNext" not in device.variables.values
    assert device.power_on() == A


def test_a_forbidden_slot_is_not_started_even_if_the_other_one_cannot_be_loaded(device: EfiDevice) -> None:
    device.loader.forbid(B)
    assert not active(device, 2)
    device.firmware.loads = lambda number: number == 2
    assert device.power_on() is None


def test_a_disk_that_appears_costs_no_slot_its_entry(device: EfiDevice) -> None:
    device.loader.forbid(B)
    assert device.firmware.find_disk() not in {1, 2}
    device.loader.activate(B)
    assert device.power_on() == B


def test_an_entry_that_is_in_no_order_is_told_of_and_put_there(device: EfiDevice) -> None:
    device.variables.set("BootOrder", render_numbers((1, 3)))
    loader = device.loader
    assert isinstance(loader, Faulty)
    assert "Boot0002, the entry of slot b, is not in BootOrder" in loader.faults()[0]
    loader.activate(B)
    assert order(device) == (1, 2, 3)


def test_a_confirmed_slot_is_first_and_the_other_one_behind(device: EfiDevice) -> None:
    install(device)
    assert device.power_on() == B
    device.loader.confirm(B)
    assert order(device) == (2, 1, 3)
    assert active(device, 1)


def test_going_back_before_the_reboot_takes_boot_next_away(device: EfiDevice) -> None:
    install(device)
    device.loader.restore(A)
    assert "BootNext" not in device.variables.values
    assert not active(device, 2)


def test_after_going_back_the_other_slot_is_not_active(device: EfiDevice) -> None:
    install(device)
    assert device.power_on() == B
    device.loader.restore(A)
    assert order(device) == (1, 2, 3)
    assert not active(device, 2)


def test_a_confirmed_slot_that_cannot_be_loaded_is_made_up_for_by_the_other(device: EfiDevice) -> None:
    install(device)
    assert device.power_on() == B
    device.loader.confirm(B)
    device.firmware.loads = lambda number: number == 1
    assert device.power_on() == A


def test_other_entries_stay_and_are_never_before_ours(device: EfiDevice) -> None:
    device.variables.set("BootOrder", render_numbers((3, 1, 2)))
    loader = device.loader
    assert isinstance(loader, Faulty)
    assert loader.faults() == ("BootOrder begins with Boot0003, which is no slot: the firmware starts that first",)
    loader.activate(B)
    assert order(device) == (1, 2, 3)
    assert loader.faults() == ()


def test_somebody_elses_boot_next_is_left_alone(device: EfiDevice) -> None:
    device.variables.set("BootNext", b"\x03\x00")
    device.loader.forbid(B)
    assert device.variables.values["BootNext"] == b"\x03\x00"


def test_a_trial_that_runs_can_be_started_once_more(device: EfiDevice) -> None:
    install(device)
    assert device.power_on() == B
    loader = device.loader
    assert isinstance(loader, Rearming)
    loader.rearm(B)
    assert loader.status(B).tries_left == 1
    assert [device.power_on(), device.power_on()] == [B, A]


def try_out(device: EfiDevice) -> None:
    install(device)
    device.power_on()


def keep(device: EfiDevice) -> None:
    try_out(device)
    device.loader.confirm(B)


CALLS: Mapping[str, tuple[Callable[[EfiDevice], object], Callable[[Bootloader], None], str]] = {
    "forbid": (lambda device: None, lambda loader: loader.forbid(B), "a"),
    "forbid a trial": (install, lambda loader: loader.forbid(B), "ab"),
    "activate": (lambda device: device.loader.forbid(B), lambda loader: loader.activate(B), "ab"),
    "confirm": (try_out, lambda loader: loader.confirm(B), "ab"),
    "restore before the reboot": (install, lambda loader: loader.restore(A), "ab"),
    "restore from the trial": (try_out, lambda loader: loader.restore(A), "a"),
    "restore after all": (keep, lambda loader: loader.restore(A), "ab"),
}


@pytest.mark.parametrize("last", range(4))
@pytest.mark.parametrize("call", sorted(CALLS))
def test_a_power_cut_at_any_variable_leaves_what_boots(call: str, last: int, device: EfiDevice) -> None:
    prepare, act, may_start = CALLS[call]
    prepare(device)
    runs = device.running
    device.variables.changes.clear()
    device.variables.last = last
    try:
        act(device.loader)
    except BootError:
        assert len(device.variables.changes) == last
    device.variables.last = None
    assert device.power_on() in set(may_start)
    good = {slot for slot in (A, B) if device.loader.status(slot).good}
    assert device.power_on(broken={"a", "b"} - good) in good
    device.running = runs
    act(device.loader)
    assert device.power_on(broken=set()) == (B if call in {"activate", "confirm"} else A)


def test_probing_leaves_the_variables_as_they_are(device: EfiDevice) -> None:
    loader, before = device.loader, device.memory()
    assert isinstance(loader, Probing)
    loader.probe()
    assert device.memory() == before
    assert device.variables.changes == ["BistableProbe", "no BistableProbe"]


def test_an_order_that_is_not_one_is_an_error(device: EfiDevice) -> None:
    device.variables.set("BootOrder", b"\1")
    with pytest.raises(BootError, match="cannot understand the firmware's variable BootOrder"):
        device.loader.primary()
