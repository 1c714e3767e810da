"""UEFI as the boot loader, made from the settings."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bistable.client.boot.efi.efivars import EFIVARS, GLOBAL, EfiVariables
from bistable.client.boot.efi.loader import EfiBootloader
from bistable.client.boot.efi.options import NAME, BadOptionError, parse_option
from bistable.client.boot.efi.partition import partition_of
from bistable.client.boot.placing import Kernel
from bistable.client.boot.ports import Booted
from bistable.client.errors import BootError, ConfigError
from bistable.client.model import SlotName

if TYPE_CHECKING:
    from bistable.client.boot import BootSettings

USUAL: Final = (Path("/efi"), Path("/boot/efi"), Path("/boot"))
_DESCRIPTION: Final = re.compile(r"bistable [ab]", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?:Boot)?([0-9A-Fa-f]{4})")


def make_efi(settings: "BootSettings", names: tuple[SlotName, SlotName], booted: Booted | None) -> EfiBootloader:
    """Return the boot loader.

    Raises:
        ConfigError: a number of an entry is not one.
        BootError: the boot partition cannot be found.
    """
    directory = find_boot_partition(settings.directory)
    return EfiBootloader(
        directory,
        EfiVariables(),
        names,
        kernel=Kernel(image=settings.kernel, initrd=settings.initrd),
        numbers=entry_numbers(settings.efi_entries),
        partition=lambda: partition_of(directory),
        booted=booted,
    )


def entry_numbers(entries: Mapping[SlotName, str]) -> dict[SlotName, int]:
    """Return the numbers of the entries in the settings.

    Raises:
        ConfigError: one is not a number, or both are the same.
    """
    numbers: dict[SlotName, int] = {}
    for slot, text in entries.items():
        found = _NUMBER.fullmatch(text)
        if found is None:
            raise ConfigError(
                f"cannot use {text!r} as the boot entry of slot {slot}: it is not four hexadecimal digits",
                hint='set boot.efi-entries to two such as ["0001", "0002"]',
            )
        numbers[slot] = int(found[1], 16)
    if len(set(numbers.values())) < len(numbers):
        raise ConfigError("cannot use one boot entry for both slots", hint="correct boot.efi-entries")
    return numbers


def has_entries(directory: Path = EFIVARS) -> bool:
    """Return whether the firmware has an entry that is called like those of slots."""
    if not directory.is_dir():
        return False
    variables = EfiVariables(directory)
    for name in variables.names(GLOBAL):
        data = variables.read(name, GLOBAL) if NAME.fullmatch(name) else None
        with suppress(BadOptionError):
            if data is not None and _DESCRIPTION.fullmatch(parse_option(data).description):
                return True
    return False


def find_boot_partition(directory: Path | None, usual: tuple[Path, ...] = USUAL) -> Path:
    """Return where the boot partition is mounted.

    Raises:
        BootError: it is at none of the usual places.
    """
    if directory is not None:
        return directory
    for place in usual:
        if (place / "EFI").is_dir():
            return place
    raise BootError(
        f"cannot find the boot partition: EFI is in none of {', '.join(map(str, usual))}",
        hint="mount it, and set boot.directory if that is elsewhere",
    )
