"""Boot loaders: which slot is booted next, tried, confirmed or never booted again.

What every boot loader can do stands in `ports`, the ones that there are in `BOOTLOADERS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from bistable.client.boot.detect import detect_backend, detect_scheme
from bistable.client.boot.ports import Booted, Bootloader, Canary, CurrentSlot, Pair, Rearming, SlotStatus
from bistable.client.config.settings import GRUB_COPIES
from bistable.client.errors import ConfigError
from bistable.client.model import SlotName

if TYPE_CHECKING:
    from bistable.client.boot.uboot.environment import Environment

__all__ = [
    "BOOTLOADERS",
    "SCHEMES",
    "BootSettings",
    "Bootloader",
    "Canary",
    "CurrentSlot",
    "Rearming",
    "SlotStatus",
    "detect_backend",
    "detect_scheme",
    "make_bootloader",
]


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSettings:
    """Which boot loader the device has, and what has to be known of it."""

    backend: str
    """A key of BOOTLOADERS."""
    timeout: float = 30.0
    """Seconds for one call of one of the boot loader's programs."""
    tries: int = 3
    """How often a slot is tried before the boot loader falls back; with the mender scheme its `bootlimit` counts."""
    scheme: str = "slots"
    """uboot and grub: a key of SCHEMES."""
    print_tool: str | None = None
    """uboot: the program that prints the environment, if not one of the usual ones."""
    set_tool: str | None = None
    """uboot: the program that sets the environment, if not one of the usual ones."""
    tool_config: Path | None = None
    """uboot: what the programs get as `-c`, if not their /etc/fw_env.config."""
    grub_copies: Sequence[str] = GRUB_COPIES
    """grub: the places of the two copies of the environment, as `boot.places` has them."""
    grub_directory: Path | None = None
    """grub with the mender scheme: where its two folders are, if not at a known place."""
    parts: Mapping[SlotName, int] = field(default_factory=dict)
    """the mender scheme: the slots' partition numbers, raspberry-pi: those of their boot partitions, if they are not in
    the devices' names."""
    directory: Path | None = None
    """systemd-boot, efi, raspberry-pi: where the boot partition is mounted, if not at a usual place."""
    kernel: Path = Path("/boot/vmlinuz")
    """systemd-boot, efi: the kernel in a slot."""
    initrd: Path | None = None
    """systemd-boot, efi: the initial RAM disk in a slot, if there is one."""
    partitions: Mapping[SlotName, str] = field(default_factory=dict)
    """raspberry-pi: the boot partitions of the slots, as `boot.places` has them."""
    firmware: Path = Path("/boot/firmware")
    """raspberry-pi: the directory of a slot that belongs on its boot partition."""
    efi_entries: Mapping[SlotName, str] = field(default_factory=dict)
    """efi: the numbers of the slots' boot entries, hexadecimal, if they are not found by their descriptions."""
    handler: str | Path | None = None
    """custom: the program."""
    boot_names: Mapping[SlotName, str] = field(default_factory=dict)
    """custom: what the handler calls the slots, if not by their names."""
    state: Path | None = None
    """simulated: the file that is the device."""


def make_bootloader(settings: BootSettings, pair: Pair, *, booted: Booted | None = None) -> Bootloader:
    """Return the boot loader of this device; `booted` says which slot runs, so that it cannot be forbidden by mistake.

    Raises:
        ConfigError: there is no such boot loader, or a setting that it needs is missing.
        BootError: a setting has a value that the boot loader cannot take.
    """
    return _chosen(BOOTLOADERS, settings.backend, "boot loader")(settings, pair, booted)


def _uboot(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.uboot.environment import make_environment

    environment = make_environment(
        settings.print_tool, settings.set_tool, settings.tool_config, timeout=settings.timeout
    )
    return _scheme(settings)(environment, settings, pair, booted)


def _grub(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.grub.make import make_copies, make_two_directories

    names = (pair.a.name, pair.b.name)
    if settings.scheme == "mender":
        environment = make_two_directories(settings.grub_directory, timeout=settings.timeout)
        return _mender_scheme(environment, settings, pair, booted)
    return _scheme(settings)(make_copies(settings.grub_copies, names, timeout=settings.timeout), settings, pair, booted)


def _slots_scheme(environment: "Environment", settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.uboot.slots import SlotsBootloader

    return SlotsBootloader(environment, (pair.a.name, pair.b.name), tries=settings.tries, booted=booted)


def _mender_scheme(environment: "Environment", settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.uboot.mender import MenderBootloader, part_number

    parts = {slot.name: settings.parts.get(slot.name) or part_number(slot.device) for slot in (pair.a, pair.b)}
    return MenderBootloader(environment, parts, booted=booted)


def _systemd_boot(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.systemdboot.make import make_systemd_boot

    return make_systemd_boot(settings, (pair.a.name, pair.b.name), booted)


def _efi(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.efi.make import make_efi

    return make_efi(settings, (pair.a.name, pair.b.name), booted)


def _raspberry_pi(settings: BootSettings, pair: Pair, booted: Booted | None) -> Bootloader:
    from bistable.client.boot.raspberrypi.make import make_raspberry_pi

    return make_raspberry_pi(settings, (pair.a.name, pair.b.name), booted)


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

    if settings.state is None:
        raise ConfigError("cannot use the simulated boot loader: the file that is the device is not configured")
    return SimulatedBootloader(settings.state, tries=settings.tries)


_Factory = Callable[[BootSettings, Pair, Booted | None], Bootloader]
_SchemeFactory = Callable[["Environment", BootSettings, Pair, Booted | None], Bootloader]

SCHEMES: Final[Mapping[str, _SchemeFactory]] = {"slots": _slots_scheme, "mender": _mender_scheme}
"""How the environment of a U-Boot or a GRUB is used -> the boot loader that does."""

BOOTLOADERS: Final[Mapping[str, _Factory]] = {
    "uboot": _uboot,
    "grub": _grub,
    "systemd-boot": _systemd_boot,
    "efi": _efi,
    "raspberry-pi": _raspberry_pi,
    "custom": _custom,
    "simulated": _simulated,
}
"""Name in the configuration -> what makes the boot loader."""


def _scheme(settings: BootSettings) -> _SchemeFactory:
    return _chosen(SCHEMES, settings.scheme, "scheme of the boot loader's environment")


def _chosen(table: Mapping[str, _T], name: str, what: str) -> _T:
    if name not in table:
        raise ConfigError(f"cannot use {name!r} as {what}: there are {', '.join(sorted(table))}")
    return table[name]
