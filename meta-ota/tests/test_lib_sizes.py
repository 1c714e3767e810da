"""Sizes of slots, compared with what the same layout really becomes."""

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from layer_values import values
from metaota import layout, sizes
from metaota.machine import LOADERS

from bistable.artifact.errors import RequestError
from bistable.tools.disk import Layout, parse_layout
from bistable.tools.disk.geometry import place

MIB = 1 << 20


def parsed(**changes: str) -> Layout:
    """Return the layout that the variables give, as the command that lays out the disk reads it."""
    arm = {} if changes.get("BOOTLOADER", "grub") in {"grub", "systemd-boot", "efi"} else {"TARGET_ARCH": "aarch64"}
    return parse_layout(layout.render(values(**arm, **changes)).encode(), Path(), name="layout", settings={})


def data_size(slot: int, **changes: str) -> int:
    """Return the size of the data partition with slots of that size, in MiB; -1 if they do not fit."""
    try:
        found = place(parsed(SLOT_SIZE_MB=str(slot), **changes))
    except RequestError:
        return -1
    assert found.partition("rootfs-a").size == found.partition("rootfs-b").size == slot * MIB
    return found.partition("data").size // MIB


def least(**changes: str) -> int:
    """Return the MiB that the data partition has to have."""
    return int(values(**changes)("BISTABLE_DATA_SIZE_MB") or "")


@pytest.mark.parametrize("table", ["gpt", "mbr"])
@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("extra", ["", "logs:64:ext4 calibration:3:none"])
@pytest.mark.parametrize("block", ["1", "4", "16"])
def test_slots_take_all_that_the_others_leave_and_not_more(loader: str, table: str, extra: str, block: str) -> None:
    disk = {"BOOTLOADER": loader, "PARTITION_TABLE": table, "EXTRA_PARTITIONS": extra, "ERASE_BLOCK_MB": block}
    slot = sizes.slot(values(**disk))
    assert slot % int(block) == 0
    assert data_size(slot, **disk) >= least()
    assert data_size(slot + int(block), **disk) < least()


def test_a_disk_of_two_gigabytes_has_these_slots() -> None:
    # In front of data, which needs 256 and the table behind it, are 1788; 4, 64 and 8 of them are not the slots'.
    assert sizes.slot(values()) == 856


@given(
    storage=st.integers(64, 8192),
    boot=st.integers(1, 200),
    data=st.integers(1, 600),
    block=st.sampled_from([1, 2, 4, 8, 16]),
    extra=st.lists(st.integers(1, 100), max_size=4),
    loader=st.sampled_from(LOADERS),
    table=st.sampled_from(["gpt", "mbr"]),
    blobs=st.integers(0, 40),
)
def test_whatever_the_sizes_are_the_largest_slots_are_found(
    storage: int, boot: int, data: int, block: int, extra: list[int], loader: str, table: str, blobs: int
) -> None:
    disk = {
        "STORAGE_SIZE_MB": str(storage),
        "BOOT_SIZE_MB": str(boot),
        "DATA_SIZE_MB": str(data),
        "ERASE_BLOCK_MB": str(block),
        "EXTRA_PARTITIONS": " ".join(f"extra{index}:{size}:none" for index, size in enumerate(extra)),
        "BOOTLOADER": loader,
        "PARTITION_TABLE": table,
        "BLOBS_END_MB": str(blobs),
    }
    slot = sizes.slot(values(**disk))
    assert slot >= 0
    if slot:
        assert data_size(slot, **disk) >= data
    # A partition for data is at least an erase block, whatever the variables say.
    assume(data >= block)
    assert data_size(slot + block, **disk) < data


@pytest.mark.parametrize("blobs", [0, 1, 4, 5, 8])
def test_what_lies_at_the_start_of_the_disk_takes_whole_erase_blocks(blobs: int) -> None:
    blocks = max(1, -(-blobs // 4))
    assert sizes.slot(values(BLOBS_END_MB=str(blobs), DATA_SIZE_MB="7")) == (2040 - 4 * blocks - 72) // 2 // 4 * 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"STORAGE_SIZE_MB": ""},
        {"STORAGE_SIZE_MB": "8G"},
        {"BOOT_SIZE_MB": "x"},
        {"DATA_SIZE_MB": ""},
        {"ERASE_BLOCK_MB": "0"},
        {"ERASE_BLOCK_MB": "-4"},
        {"EXTRA_PARTITIONS": "logs:64"},
        {"EXTRA_PARTITIONS": "logs:x:ext4"},
        {"EXTRA_PARTITIONS": "logs:64:ext4:behind"},
        {"STORAGE_SIZE_MB": "100"},
    ],
)
def test_sizes_that_make_no_sense_leave_no_slots(wrong: dict[str, str]) -> None:
    assert sizes.slot(values(**wrong)) == 0


def test_extra_partitions_have_name_size_and_file_system() -> None:
    assert sizes.extras(values(EXTRA_PARTITIONS=" logs:64:ext4  calibration:4:none fip:8:none:front ")) == [
        ("logs", 64, "ext4", False),
        ("calibration", 4, "none", False),
        ("fip", 8, "none", True),
    ]
