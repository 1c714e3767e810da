"""What we put on an EFI system partition for systemd-boot and for bare firmware, started by OVMF."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest
from boot_efi_programs import efi_program
from boot_machines import OVMF_CODE, Disk, boot_grub, list_files, make_disk
from boot_plans import plan_for
from boot_programs import needs
from boot_stand_ins import amd64_kernel

from bistable.client.boot.systemdboot.entries import render_entry
from bistable.client.model import SlotName
from bistable.tools.boot import BootFiles, Loader, prepare_boot

pytestmark = pytest.mark.boots

SYSTEMD_BOOT = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
ENTRIES = PurePosixPath("loader/entries")


def disk_with(directory: Path, files: Mapping[PurePosixPath, bytes]) -> Disk:
    needs("mkfs.vfat", "mcopy", "sfdisk", "qemu-system-x86_64", OVMF_CODE)
    return make_disk(directory / "disk.img", BootFiles(boot=files, environment={}, root={}), {})


def kernel(slot: str) -> PurePosixPath:
    return PurePosixPath(f"EFI/bistable/{slot}/linux.efi")


def test_systemd_boot_starts_the_first_slot_of_a_new_device(tmp_path: Path) -> None:
    needs(SYSTEMD_BOOT, "grub-mkimage")
    files = prepare_boot(plan_for(Loader.SYSTEMD_BOOT)).boot
    disk = disk_with(tmp_path, {**files, kernel("a"): efi_program("KERNEL a", tmp_path)})
    assert boot_grub(disk).started == "a"
    assert list_files(disk, 1, "loader/entries") == ["bistable-a.conf"]


@pytest.mark.slow
def test_systemd_boot_counts_an_update_down_and_falls_back(tmp_path: Path) -> None:
    needs(SYSTEMD_BOOT, "grub-mkimage")
    files = prepare_boot(plan_for(Loader.SYSTEMD_BOOT)).boot
    trial = render_entry(SlotName("b"), version=2, options="quiet", initrd=False)
    kernels = {kernel(slot): efi_program(f"KERNEL {slot}", tmp_path) for slot in "ab"}
    disk = disk_with(tmp_path, {**files, **kernels, ENTRIES / "bistable-b+2.conf": trial})
    started = [boot_grub(disk).started for _ in range(4)]
    assert started == ["b", "b", "a", "a"]
    assert list_files(disk, 1, "loader/entries") == ["bistable-a.conf", "bistable-b+0-2.conf"]


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["ab", "b"])
def test_firmware_without_boot_entries_starts_a_slot(kernels: str, tmp_path: Path) -> None:
    files = prepare_boot(plan_for(Loader.EFI)).boot
    disk = disk_with(tmp_path, {**files, **{kernel(slot): amd64_kernel(f"KERNEL {slot}\n") for slot in kernels}})
    boot = boot_grub(disk)
    assert boot.started == kernels[0]
    assert f"bistable: booting slot {kernels[0]}" in boot.said
