"""The boot loader of a Raspberry Pi, made from the settings."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bistable.client.boot.places import find_partition
from bistable.client.boot.ports import Booted
from bistable.client.boot.raspberrypi.files import AUTOBOOT
from bistable.client.boot.raspberrypi.loader import RaspberryPiBootloader
from bistable.client.boot.raspberrypi.word import Word, usual_place
from bistable.client.boot.uboot.mender import part_number
from bistable.client.errors import BootError, ConfigError
from bistable.client.model import SlotName
from bistable.client.mounting import mounted_for_writing

if TYPE_CHECKING:
    from bistable.client.boot import BootSettings

USUAL: Final = (Path("/boot/firmware"), Path("/boot"), Path("/boot/autoboot"))
"""Where the partition with autoboot.txt may be mounted."""


def make_raspberry_pi(
    settings: "BootSettings", names: tuple[SlotName, SlotName], booted: Booted | None
) -> RaspberryPiBootloader:
    """Return the boot loader.

    Raises:
        ConfigError: the boot partitions are not set.
        BootError: they, or autoboot.txt, cannot be found.
    """
    if set(settings.partitions) != set(names):
        raise ConfigError(
            "cannot use the firmware of the Raspberry Pi: the boot partitions of the slots are not configured",
            hint='set boot.partitions, such as ["/dev/mmcblk0p2", "/dev/mmcblk0p3"]',
        )
    partitions = {name: find_partition(settings.partitions[name]) for name in names}
    parts = {name: settings.parts.get(name) or part_number(partitions[name]) for name in names}
    return RaspberryPiBootloader(
        find_autoboot(settings.directory),
        parts,
        partitions=partitions,
        firmware=settings.firmware,
        word=Word(usual_place()),
        mounted=mounted_for_writing,
        booted=booted,
    )


def find_autoboot(directory: Path | None, usual: tuple[Path, ...] = USUAL) -> Path:
    """Return the directory with autoboot.txt.

    Raises:
        BootError: it is at none of the usual places.
    """
    if directory is not None:
        return directory
    for place in usual:
        if (place / AUTOBOOT).is_file():
            return place
    raise BootError(
        f"cannot find {AUTOBOOT}: it is in none of {', '.join(map(str, usual))}",
        hint="mount the first FAT partition, and set boot.directory",
    )
