"""What options of `bistable board` can be: the words of board.toml."""

from typing import Final

import click

FLOWS: Final = click.Choice(
    ["uboot", "uboot-environment", "grub", "systemd-boot", "efi", "raspberry-pi", "uboot-ubi", "custom"]
)
ARCHITECTURES: Final = click.Choice(["amd64", "arm64", "armhf", "riscv64"])
STATUSES: Final = click.Choice(["booted", "checked", "contributed"])
STORAGES: Final = click.Choice(["emmc", "sd", "nvme", "sata", "usb", "virtio", "nand"])
"""Written out, as the library that knows them takes long to import; a test holds them against it."""
