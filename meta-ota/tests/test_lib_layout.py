"""The layout that is made from the variables, as the command that lays out the disk reads it."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from layer_values import values
from metaota import checks, layout
from metaota.machine import ARCHITECTURES, EFI_LOADERS, EFI_NAMES, LOADERS, architecture

from bistable.tools.disk import Layout, parse_layout
from bistable.tools.disk.geometry import boot_plan, place

MIB = 1 << 20


def parsed(**changes: str) -> Layout:
    """Return the layout that the variables give."""
    return parse_layout(layout.render(values(**changes)).encode(), Path(), name="layout", settings={})


PAIRS = [
    (loader, target)
    for loader in LOADERS
    for target, kind in ARCHITECTURES.items()
    if kind in EFI_NAMES or loader not in EFI_LOADERS
]


@pytest.mark.parametrize(("loader", "target"), PAIRS)
def test_each_boot_loader_gives_a_layout_that_can_be_laid_out(loader: str, target: str) -> None:
    kind = architecture(values(TARGET_ARCH=target))
    made = parsed(TARGET_ARCH=target, BOOTLOADER=loader)
    assert (made.boot.loader.value, made.boot.architecture) == (loader, kind)
    assert boot_plan(made, place(made)).architecture == kind


def test_what_the_variables_say_is_in_the_layout() -> None:
    made = parsed(
        TARGET_ARCH="aarch64",
        BOOTLOADER="uboot",
        TRIES="5",
        KERNEL="/boot/Image",
        INITRD="/boot/initrd",
        DEVICETREE="/boot/acorn.dtb",
        KERNEL_ARGS="quiet",
        UBOOT_DISK="mmc 1",
        UBOOT_WATCHDOG="watchdog@30280000",
        UBOOT_ADDRESSES="kernel_addr_r=0x40400000 fdt_addr_r=0x4F000000",
        BLOBS="u_boot.bin:8192 spl.bin:32",
        BLOBS_END_MB="16",
        PARTITION_TABLE="mbr",
        ROOTFS_FSTYPE="squashfs",
        EXTRA_PARTITIONS="logs:64:ext4 calibration:4:none fip:8:none:front",
        DISK_SEED="seed",
    )
    assert made.device_type == "acorn-2"
    assert (made.disk.table, made.disk.size, made.disk.erase_block, made.disk.seed) == (
        "mbr",
        2048 * MIB,
        4 * MIB,
        "seed",
    )
    assert (made.boot.tries, made.boot.arguments, made.boot.disk) == (5, "quiet", "mmc 1")
    assert made.boot.watchdog == "watchdog@30280000"
    assert made.boot.addresses == {"kernel_addr_r": 0x40400000, "fdt_addr_r": 0x4F000000}
    assert [(blob.written, blob.offset) for blob in made.blobs] == [("spl.bin", 32 << 10), ("u_boot.bin", 8 * MIB)]
    assert made.blobs_end == 16 * MIB
    assert [str(path) for path in (made.boot.kernel, made.boot.initrd, made.boot.devicetree)] == [
        "/boot/Image",
        "/boot/initrd",
        "/boot/acorn.dtb",
    ]
    assert (made.boot_partition_size, made.slots.size, made.slots.filesystem) == (64 * MIB, 512 * MIB, "squashfs")
    assert [(extra.name, extra.size, extra.filesystem, extra.place) for extra in made.extras] == [
        ("logs", 64 * MIB, "ext4", "behind"),
        ("calibration", 4 * MIB, "none", "behind"),
        ("fip", 8 * MIB, "none", "front"),
    ]
    assert [part.name for part in place(made).partitions][:2] == ["fip", "boot"]
    assert made.data.size is None


def test_without_a_storage_size_data_has_its_own() -> None:
    made = parsed(STORAGE_SIZE_MB="")
    assert (made.disk.size, made.data.size) == (None, 256 * MIB)


def test_what_is_for_u_boot_is_said_to_u_boot_only() -> None:
    made = tomllib.loads(layout.render(values(UBOOT_WATCHDOG="wdt", UBOOT_ADDRESSES="kernel_addr_r=0x1")))
    assert made["boot"].keys() & {"disk", "watchdog", "addresses"} == set()


def test_what_configures_the_firmware_of_a_raspberry_pi_gets_the_lines_of_the_slot() -> None:
    made = parsed(
        TARGET_ARCH="aarch64", BOOTLOADER="raspberry-pi", DEPLOY_DIR_IMAGE="/deploy", BOOTFILES_DIR_NAME="bootfiles"
    )
    assert {str(name): str(path) for name, path in made.boot_files.items()} == {
        "config.txt": "/deploy/bootfiles/config.txt"
    }
    assert parsed().boot_files == {}


@pytest.mark.parametrize(("end", "start"), [("0", 4), ("1", 4), ("4", 4), ("5", 8), ("16", 16)])
def test_partitions_begin_behind_the_room_for_first_stages(end: str, start: int) -> None:
    assert place(parsed(BLOBS_END_MB=end)).partition("boot").start == start * MIB


def test_nothing_in_the_text_is_taken_for_something_else() -> None:
    for text in ('a"]\\', "größe", "\N{KEY}"):
        assert parsed(DISK_SEED=text).disk.seed == text


WRITTEN = (
    "DEVICE_TYPE",
    "TRIES",
    "KERNEL",
    "INITRD",
    "DEVICETREE",
    "KERNEL_ARGS",
    "UBOOT_DISK",
    "PARTITION_TABLE",
    "EXTRA_PARTITIONS",
    "DISK_SEED",
    "ROOTFS_FSTYPE",
    "ERASE_BLOCK_MB",
    "UBOOT_WATCHDOG",
    "UBOOT_ADDRESSES",
    "BLOBS",
)


@given(st.data(), st.sampled_from(LOADERS))
def test_what_the_checks_take_the_layout_takes(data: st.DataObject, loader: str) -> None:
    changes = {
        name: data.draw(st.from_regex(checks.FORMS[name].pattern, fullmatch=True), label=name)
        for name in data.draw(st.sets(st.sampled_from(WRITTEN), max_size=4))
    }
    changes |= {"BOOTLOADER": loader, "STORAGE_SIZE_MB": "", "TARGET_ARCH": "aarch64", "BLOBS_END_MB": "1024"}
    assume(all(len(value) < 200 for value in changes.values()))
    assume(not any(len(size) > 6 for size in changes.get("EXTRA_PARTITIONS", "").split(":")[1::2]))
    assume(not checks.mistakes(values(**changes)))
    made = parsed(**changes)
    boot_plan(made, place(made))
