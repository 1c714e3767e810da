"""What U-Boot has to be built with, whatever the slots lie on: names of its options, without CONFIG_."""

from collections.abc import Iterator
from typing import Final

SHELL: Final = (
    "HUSH_PARSER", "CMD_SOURCE", "LEGACY_IMAGE_FORMAT", "CMD_ECHO", "CMD_RUN", "CMD_SETEXPR",
)  # fmt: skip
"""What every script needs: the shell, boot.scr itself, counting. The shell brings `test`."""

WATCHDOG: Final = ("WDT", "WATCHDOG", "CMD_WDT")
"""Without WATCHDOG, U-Boot starts it and never feeds it: the board restarts at the prompt, or where a disk is sought
for long. The driver of the board's watchdog comes with its own configuration."""

REDUNDANT: Final = ("SYS_REDUNDAND_ENVIRONMENT", "ENV_REDUNDANT")
"""Its name up to U-Boot 2025.07, and from 2025.10 on."""

_PLACES: Final = (
    "EEPROM", "EXT4", "FAT", "FLASH", "MMC", "MTD", "NAND", "NVRAM", "ONENAND", "REMOTE", "SCSI", "SPI_FLASH", "UBI",
)  # fmt: skip


def in_one_place(place: str) -> Iterator[str]:
    """Yield the lines that have U-Boot keep its environment in one place: with two, it saves where it has loaded."""
    yield on(f"ENV_IS_IN_{place}")
    yield off("ENV_IS_NOWHERE")
    yield from (off(f"ENV_IS_IN_{name}") for name in _PLACES if name != place)


def on(name: str) -> str:
    """Return the line that switches an option on."""
    return f"CONFIG_{name}=y"


def off(name: str) -> str:
    """Return the line that switches an option off."""
    return f"# CONFIG_{name} is not set"
