"""Boot loaders: which slot is booted next, tried, confirmed or never booted again.

What every boot loader can do stands in `ports`, the ones that there are in `BOOTLOADERS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bistable.client.boot.ports import Booted, Bootloader, Canary, CurrentSlot, Pair, Rearming, SlotStatus
from bistable.client.errors import BootError, ConfigError
from bistable.client.model import SlotName

if TYPE_CHECKING:
    from bistable.client.boot.uboot.environment import ToolEnvironment

__all__ = [
    "BOOTLOADERS",
    "SCHEMES",
    "BootSettings",
    "Bootloader",
    "Canary",
    "CurrentSlot",
    "Rearming",
    "SlotStatus",
    "make_bootloader",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSettings:
    """Which boot loader the device has, and what has to be known of it."""

    backend: str = "auto"
    """A key of BOOTLOADERS."""
    timeout: float = 30.0
    """Seconds for one call of one of the boot loader's programs."""
    tries: int = 3
    """How often a slot is tried before the boot loader falls back; with the mender scheme its `bootlimit` counts."""
    scheme: str = "auto"
    """uboot: a key of SCHEMES."""
    printenv: str | None = None
    """uboot: the program that prints the environment, if not one of the usual ones."""
    setenv: str | None = None
    """uboot: the program that sets the environment, if not one of the usual ones."""
    env_config: Path | None = None
    """uboot: what the programs get as `-c`, if not their /etc/fw_env.config."""
    parts: Mapping[SlotName, int] = field(default_factory=dict)
    """uboot with the mender scheme: the slots' partition numbers, if they are not in the devices' names."""
    handler: str | Path | None = None
    """custom: the program."""
    boot_names: Mapping[SlotName, str] = field(default_factory=dict)
    """custom: what the handler calls the slots, if not by their names."""
    simulated_state: Path | None = None
    """simulated: the file that is the device."""


def make_bootloader(settings: BootSettings, pair: Pair, *, booted: Booted | None = None) -> Bootloader:
    """Return the boot loader of this device; `booted` says which slot runs, so that it cannot be forbidden by mistake.

    Where the scheme is to be found out, this reads the boot loader's environment.

    Raises:
        ConfigError: there is no such boot loader, or a setting that it needs is missing.
        BootError: a setting has a value that the boot loader cannot take, or the scheme cannot be found out.
    """
    return _chosen(BOOTLOADERS, settings.backend, "boot loader")(settings, pair, booted)


def _auto(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    """Take what is configured further, and otherwise what most devices have."""
    if settings.handler is not None:
        return _custom(settings, pair, booted)
    if settings.simulated_state is not None:
        return _simulated(settings, pair, booted)
    return _uboot(settings, pair, booted)


def _uboot(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    return _chosen(SCHEMES, settings.scheme, "scheme of the boot loader's environment")(settings, pair, booted)


def _scheme_found(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.uboot.mender import PART
    from bistable.client.boot.uboot.slots import ORDER

    variables = _environment(settings).read()
    if variables.get(ORDER):
        return _slots_scheme(settings, pair, booted)
    if variables.get(PART):
        return _mender_scheme(settings, pair, booted)
    raise BootError(
        f"cannot tell how the boot loader's environment is used: there is neither {ORDER} nor {PART} in it",
        hint="has the device been booted with its boot script, and does /etc/fw_env.config name its environment?",
    )


def _slots_scheme(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.uboot.slots import SlotsBootloader

    return SlotsBootloader(_environment(settings), (pair.a.name, pair.b.name), tries=settings.tries, booted=booted)


def _mender_scheme(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.uboot.mender import MenderBootloader, part_number

    parts = {slot.name: settings.parts.get(slot.name) or part_number(slot.device) for slot in (pair.a, pair.b)}
    return MenderBootloader(_environment(settings), parts, booted=booted)


def _custom(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.custom import CustomBootloader

    if settings.handler is None:
        raise ConfigError("cannot use the custom boot loader: no handler is configured")
    return CustomBootloader(
        settings.handler,
        (pair.a.name, pair.b.name),
        timeout=settings.timeout,
        boot_names=settings.boot_names,
        booted=booted,
    )


def _simulated(settings: BootSettings, _pair: Pair, _booted: Booted | None) -> Bootloader:
    from bistable.client.boot.simulated import SimulatedBootloader

    if settings.simulated_state is None:
        raise ConfigError("cannot use the simulated boot loader: the file that is the device is not configured")
    return SimulatedBootloader(settings.simulated_state, tries=settings.tries)


def _environment(settings: BootSettings) -> "ToolEnvironment":
    from bistable.client.boot.uboot.environment import PRINTERS, SETTERS, ToolEnvironment

    return ToolEnvironment(
        timeout=settings.timeout,
        printers=PRINTERS if settings.printenv is None else (settings.printenv,),
        setters=SETTERS if settings.setenv is None else (settings.setenv,),
        config=settings.env_config,
    )


_Factory = Callable[[BootSettings, Pair, Booted | None], Bootloader]

SCHEMES: Final[Mapping[str, _Factory]] = {
    "auto": _scheme_found,
    "slots": _slots_scheme,
    "mender": _mender_scheme,
}
"""How the environment of U-Boot is used -> the boot loader that does."""

BOOTLOADERS: Final[Mapping[str, _Factory]] = {
    "auto": _auto,
    "uboot": _uboot,
    "custom": _custom,
    "simulated": _simulated,
}
"""Name in the configuration -> what makes the boot loader."""


def _chosen(table: Mapping[str, _Factory], name: str, what: str) -> _Factory:
    if name not in table:
        raise ConfigError(f"cannot use {name!r} as {what}: there are {', '.join(sorted(table))}")
    return table[name]
