"""systemd-boot, made from the settings."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bistable.client.boot.efi.efivars import EfiVariables
from bistable.client.boot.placing import Kernel
from bistable.client.boot.ports import Booted
from bistable.client.boot.systemdboot.entries import parse_entry
from bistable.client.boot.systemdboot.loader import DirectoryEntries, SystemdBootloader
from bistable.client.errors import BootError
from bistable.client.model import SlotName

if TYPE_CHECKING:
    from bistable.client.boot import BootSettings

USUAL: Final = (Path("/efi"), Path("/boot/efi"), Path("/boot"))
"""Where the boot partition is mounted. systemd-boot(7), bootctl(1)"""

ENTRIES: Final = Path("loader/entries")


def make_systemd_boot(
    settings: "BootSettings", names: tuple[SlotName, SlotName], booted: Booted | None
) -> SystemdBootloader:
    """Return the boot loader.

    Raises:
        BootError: its entries cannot be found.
    """
    directory = find_entries(settings.directory)
    return SystemdBootloader(
        directory,
        DirectoryEntries(directory / ENTRIES),
        names,
        tries=settings.tries,
        kernel=Kernel(image=settings.kernel, initrd=settings.initrd),
        variables=EfiVariables(),
        booted=booted,
    )


def has_entries(directory: Path | None, usual: tuple[Path, ...] = USUAL) -> bool:
    """Return whether there are entries of slots."""
    try:
        names = DirectoryEntries(find_entries(directory, usual) / ENTRIES).names()
    except BootError:
        return False
    return any(parse_entry(name, b"") is not None for name in names)


def find_entries(directory: Path | None, usual: tuple[Path, ...] = USUAL) -> Path:
    """Return the boot partition with the entries.

    Raises:
        BootError: it is at none of the usual places.
    """
    if directory is not None:
        return directory
    for place in usual:
        if (place / ENTRIES).is_dir():
            return place
    raise BootError(
        f"cannot find the entries of systemd-boot: {ENTRIES} is in none of {', '.join(map(str, usual))}",
        hint="mount the boot partition, and set boot.directory if that is elsewhere",
    )
