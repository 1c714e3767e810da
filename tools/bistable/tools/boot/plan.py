"""One description of slots, tries and places, from which the boot scripts of all boot loaders are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

DEFAULT_TRIES: Final = 3
GRUB_PREFIX: Final = PurePosixPath("/grub")


class Loader(StrEnum):
    """What chooses the slot."""

    UBOOT = "uboot"
    """A boot script for a U-Boot as distributions ship it; the environment lies on a partition of its own."""
    UBOOT_ENVIRONMENT = "uboot-environment"
    """The same script, for a U-Boot that itself reads and saves the redundant environment."""
    GRUB = "grub"
    """GRUB for UEFI, with two environment blocks on a partition of their own."""
    SYSTEMD_BOOT = "systemd-boot"
    """systemd-boot, which counts in file names."""
    EFI = "efi"
    """The firmware itself, by BootNext and BootOrder."""
    RASPBERRY_PI = "raspberry-pi"
    """The firmware of the Raspberry Pi, by autoboot.txt and tryboot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPlace:
    """Where a slot is on the disk."""

    name: str
    """`a` or `b`."""
    partition: int
    """Its number, from 1; for the Raspberry Pi that of the slot's own boot partition."""
    root: str
    """What the kernel is told as `root=`, such as `PARTUUID=...`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentPlace:
    """Where the two copies of the boot loader's environment are."""

    partition: int
    """Number of the partition that holds both, and nothing else."""
    offsets: tuple[int, int]
    """Where each copy starts, in bytes from the start of the partition; in different erase blocks."""
    size: int
    """Bytes of one copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """Everything that a boot script has to know."""

    loader: Loader
    slots: tuple[SlotPlace, SlotPlace]
    """The first one is what a new device boots."""
    boot_partition: int
    """Number of the FAT partition with what the firmware or the boot loader reads first."""
    environment: EnvironmentPlace | None
    """None where the boot loader has other memory: systemd-boot, EFI, Raspberry Pi."""
    kernel: PurePosixPath
    """In the slot, such as `/boot/vmlinuz`."""
    initrd: PurePosixPath | None = None
    devicetree: PurePosixPath | None = None
    """In the slot; None: the one that the boot loader itself was started with."""
    arguments: str = ""
    """The kernel's arguments, without `root=` and `bistable.slot=`, which the boot script adds."""
    architecture: str = "amd64"
    """As Debian calls it: amd64, arm64, armhf, riscv64."""
    disk: str = "virtio 0"
    """U-Boot: interface and number of the disk, such as `mmc 0`."""
    tries: int = DEFAULT_TRIES
    addresses: Mapping[str, int] = field(default_factory=dict)
    """U-Boot: name -> where in memory, for boards that lack kernel_addr_r, ramdisk_addr_r, scriptaddr or fdt_addr_r."""
    watchdog: str | None = None
    """U-Boot: the watchdog that is started unless the board's own environment names one, as `wdt list` shows it."""
    grub_prefix: PurePosixPath = GRUB_PREFIX
    """Where GRUB looks for grub.cfg, on the partition that it was started from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFiles:
    """What has to be on a disk so that it boots by the plan."""

    boot: Mapping[PurePosixPath, bytes]
    """File -> content, for the boot partition."""
    environment: Mapping[int, bytes]
    """Offset in the environment's partition -> bytes."""
    root: Mapping[PurePosixPath, bytes]
    """File -> content, for the root filesystem of both slots: how the client finds all this."""
    placed: Mapping[PurePosixPath, PurePosixPath] = field(default_factory=dict)
    """File on the boot partition -> file of the first slot that has to be copied there, as firmware reads FAT only."""
    slots: Mapping[str, Mapping[PurePosixPath, bytes]] = field(default_factory=dict)
    """Slot -> file -> content, for the slot's own boot partition: Raspberry Pi."""
