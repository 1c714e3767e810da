"""A device that is as its board says has nothing wrong, whatever chooses its slot."""

import pytest
from board_samples import DISK, UBI, VENDOR, board
from doctor_devices import diagnosed, good_device

from bistable.tools.board.catalogue import board_keys, find_board
from bistable.tools.board.model import Board, Flow


def of_flow(flow: Flow) -> Board:
    if flow is Flow.UBOOT_UBI:
        return board(UBI)
    if flow is Flow.CUSTOM:
        return board(VENDOR)
    changes = [('loader = "uboot"', f'loader = "{flow.value}"')]
    if flow not in {Flow.UBOOT, Flow.UBOOT_ENVIRONMENT}:
        changes.append(('uboot = "watchdog@30280000"\n', ""))
    return board(DISK, *changes)


@pytest.mark.parametrize("slot", ["a", "b"])
@pytest.mark.parametrize("flow", list(Flow))
def test_nothing_is_found_on_a_device_that_is_as_its_board_says(flow: Flow, slot: str) -> None:
    of = of_flow(flow)
    assert diagnosed(of, good_device(of, slot)).findings == ()


@pytest.mark.parametrize("key", board_keys())
def test_nothing_is_found_on_a_board_of_the_catalogue_that_is_as_it_is_rendered(key: str) -> None:
    of = find_board(key)
    assert diagnosed(of, good_device(of)).findings == ()


def test_it_is_said_what_was_looked_at() -> None:
    of = board(DISK)
    found = diagnosed(of, good_device(of))
    assert (found.model, found.kernel) == ("Acorn 2", "6.12.1")


def test_a_device_is_looked_at_once_and_a_mounted_boot_partition_once_more() -> None:
    of = board(DISK)
    device = good_device(of)
    diagnosed(of, device)
    assert len(device.commands) == 1
    of = of_flow(Flow.SYSTEMD_BOOT)
    device = good_device(of)
    diagnosed(of, device)
    assert len(device.commands) == 2


def test_a_data_partition_that_was_made_larger_is_right() -> None:
    of = board(DISK)
    device = good_device(of)
    line = next(line for line in device.said["blocks"][0] if line.endswith("|data"))
    size = line.split("|")[4]
    device.swap("blocks", f"|{size}|", f"|{int(size) + 8}|")
    assert diagnosed(of, device).findings == ()


def test_devices_may_be_called_by_other_names_that_mean_the_same() -> None:
    of = board(DISK)
    device = good_device(of)
    device.swap("/etc/fw_env.config", "/dev/disk/by-partlabel/boot-env", "/dev/mmcblk2p2")
    settings = device.files["/etc/bistable/conf.d/40-boot.toml"]
    slot = next(line.split('"')[1] for line in settings.splitlines() if line.startswith("a = "))
    device.swap("/etc/bistable/conf.d/40-boot.toml", slot, "/dev/mmcblk2p3")
    assert diagnosed(of, device).findings == ()
