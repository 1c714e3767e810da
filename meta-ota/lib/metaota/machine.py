"""What follows from the machine: its processor, its boot loader, the files that this one reads first."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from metaota import firmware

if TYPE_CHECKING:
    from metaota import Get

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm": "armhf", "riscv64": "riscv64"}
"""TARGET_ARCH -> what layouts of disks call it."""

EFI_NAMES = {"amd64": "x64", "arm64": "aa64", "riscv64": "riscv64"}
LOADERS = ("grub", "systemd-boot", "efi", "uboot", "uboot-environment", firmware.LOADER)
EFI_LOADERS = ("grub", "systemd-boot", "efi")
PROGRAMS = {"grub": "grub-efi-boot{}.efi", "efi": "grub-efi-boot{}.efi", "systemd-boot": "systemd-boot{}.efi"}
"""Boot loader -> the program that its recipe deploys, by the name of the processor."""

RASPBERRY_PI = "rpi"
"""The family of machines of the layer meta-raspberrypi."""

RECIPES = {
    "grub": "grub-efi",
    "efi": "grub-efi",
    "systemd-boot": "systemd-boot",
    "uboot": "virtual/bootloader",
    "uboot-environment": "virtual/bootloader",
    firmware.LOADER: "rpi-bootfiles",
}


def architecture(get: Get) -> str:
    """Return the processor as layouts call it; empty if there are no boot scripts for it."""
    return ARCHITECTURES.get(get("TARGET_ARCH") or "", "")


def bootloader(get: Get) -> str:
    """Return the boot loader that a machine has as a rule; empty if it cannot be told."""
    if architecture(get) == "amd64":
        return "grub"
    if get("UBOOT_MACHINE") or get("UBOOT_CONFIG"):
        return "uboot"
    return "grub" if "efi" in (get("MACHINE_FEATURES") or "").split() else ""


def belongs_to(get: Get, family: str) -> bool:
    """Return whether the machine is one of a family."""
    return family in (get("MACHINEOVERRIDES") or "").split(":")


def kernel(get: Get) -> str:
    """Return where the kernel is in the slot."""
    if firmware.chooses(get):
        return f"{firmware.FOLDER}/{get('SDIMG_KERNELIMAGE')}"
    return f"/boot/{get('KERNEL_IMAGETYPE')}"


def uboot_disk(get: Get) -> str:
    """Return what U-Boot calls the disk."""
    return "virtio 0" if belongs_to(get, "qemuall") else "mmc 0"


def kernel_arguments(get: Get) -> str:
    """Return the arguments of the kernel, without `root=`: its console, and to start again if it gives up."""
    for console in (get("SERIAL_CONSOLES") or "").split()[:1]:
        speed, _, device = console.partition(";")
        return f"console={device},{speed} rootwait panic=10"
    return "rootwait panic=10"


def devicetree(get: Get) -> str:
    """Return the first device tree of the kernel, as it lies in the slot; empty if the boot loader has it."""
    if belongs_to(get, RASPBERRY_PI):
        # The firmware chooses one for the model, and applies what config.txt says.
        return ""
    for name in (get("KERNEL_DEVICETREE") or "").split()[:1]:
        inside = name if get("KERNEL_DTBVENDORED") == "1" else name.rpartition("/")[2]
        return f"/boot/{inside}"
    return ""


def file_system_uuid(get: Get) -> str:
    """Return the identifier of the file system in the slots: always the same for a kind of device."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bistable/{get('BISTABLE_DISK_SEED')}"))


def lies_in_slot(get: Get) -> bool:
    """Return whether the image being built is for a slot: an artifact or a disk is made of it."""
    kinds = {word.partition(".")[0] for word in (get("IMAGE_FSTYPES") or "").split()}
    return not kinds.isdisjoint({"mender", "bootstrap-artifact", "wic"})


def boot_files(get: Get) -> list[str]:
    """Return what goes into the boot partition, in the form of IMAGE_BOOT_FILES: deployed file;place."""
    if firmware.chooses(get):
        return []
    loader, initrd = get("BISTABLE_BOOTLOADER") or "", get("BISTABLE_INITRD") or ""
    name = EFI_NAMES.get(architecture(get), "")
    made = {
        "uboot": ["boot.scr", "boot.cmd"],
        "uboot-environment": ["boot.scr", "boot.cmd"],
        "grub": ["EFI/BOOT/grub.cfg"],
        "efi": ["EFI/BOOT/grub.cfg", *OPTIONS],
        "systemd-boot": ["loader/loader.conf", "loader/entries/bistable-a.conf", *OPTIONS],
    }.get(loader, [])
    files = [f"bistable/boot/{path};{path}" for path in [*made, "bistable/layout.json"]]
    if loader in PROGRAMS:
        files.append(f"{PROGRAMS[loader].format(name)};EFI/BOOT/boot{name}.efi")
    if loader in {"efi", "systemd-boot"}:
        # Firmware reads FAT only: the client copies the kernel of each update to there, the build that of the first.
        files.append(f"{get('KERNEL_IMAGETYPE')};EFI/bistable/a/linux.efi")
        files += [f"{get('BISTABLE_INITRD_DEPLOYED')};EFI/bistable/a/initrd.img"] if initrd else []
    return files


OPTIONS = ("EFI/bistable/a/options", "EFI/bistable/b/options")
"""The arguments of each slot's kernel, which the client puts into what it writes for an update."""
