"""Which boot loader a device has and which scheme its environment follows, seen from what is there."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bistable.client.errors import BootError

if TYPE_CHECKING:
    from bistable.client.boot import BootSettings

FW_ENV_CONFIG: Final = Path("/etc/fw_env.config")
MARKS: Final[Mapping[str, str]] = {"mender": "mender_boot_part", "slots": "bistable_order"}
"""Scheme -> a variable that only its boot script uses."""


def detect_backend(settings: "BootSettings") -> str:
    """Return the boot loader of which there are signs, by the settings; `uboot` if there are none."""
    return next((name for name, has_signs in SIGNS.items() if has_signs(settings)), "uboot")


def detect_scheme(settings: "BootSettings") -> str:
    """Return the scheme whose variables are there; the boot loader is a U-Boot or a GRUB.

    Raises:
        BootError: the environment cannot be read, or holds the variables of none, or of both.
    """
    if settings.backend == "grub":
        return "mender" if not _grub_copies(settings) and _grub_directories(settings) else "slots"
    from bistable.client.boot.uboot.environment import make_environment

    variables = make_environment(
        settings.print_tool, settings.set_tool, settings.tool_config, timeout=settings.timeout
    ).read()
    found = [scheme for scheme, mark in MARKS.items() if variables.get(mark)]
    if len(found) == 1:
        return found[0]
    names = " and ".join(MARKS.values())
    raise BootError(
        f"cannot tell how the boot loader chooses its slot: {'both' if found else 'neither'} of {names} "
        f"{'are' if found else 'is'} in its environment",
        hint="set boot.scheme; if neither is there, the boot loader never ran its script, or uses another environment",
    )


def _named_tools(settings: "BootSettings") -> bool:
    return bool(settings.print_tool or settings.set_tool or settings.tool_config)


def _fw_env_config(_settings: "BootSettings") -> bool:
    return FW_ENV_CONFIG.exists()


def _grub_copies(settings: "BootSettings") -> bool:
    """A copy of our environment is where the settings, or our images, have it."""
    from bistable.client.boot.grub.make import has_copies

    return has_copies(settings.grub_copies)


def _grub_directories(settings: "BootSettings") -> bool:
    """The files of Mender's integration are there."""
    from bistable.client.boot.grub.twodirs import COPIES, find_directory

    found = find_directory(settings.grub_directory)
    return found is not None and (found / COPIES[0]).is_dir()


def _grub_without_tools(settings: "BootSettings") -> bool:
    """The programs of Mender's integration are used where they are: a device in the field has run with them."""
    return _grub_directories(settings) and shutil.which("grub-mender-grubenv-print") is None


def _systemd_boot(settings: "BootSettings") -> bool:
    from bistable.client.boot.systemdboot.make import has_entries

    return has_entries(settings.directory)


def _efi(settings: "BootSettings") -> bool:
    from bistable.client.boot.efi.make import has_entries

    return bool(settings.efi_entries) or has_entries()


SIGNS: Final[Mapping[str, Callable[["BootSettings"], bool]]] = {
    "uboot": _named_tools,
    # Nothing else has a use for them.
    "raspberry-pi": lambda settings: bool(settings.partitions),
    "grub": lambda settings: _grub_copies(settings) or (not _fw_env_config(settings) and _grub_without_tools(settings)),
    "systemd-boot": _systemd_boot,
    "efi": _efi,
}
"""Boot loader -> whether there are signs of it; the first one counts."""
