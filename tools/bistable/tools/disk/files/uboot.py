"""`uboot.config`: what the boot script needs of U-Boot, as a fragment of its configuration."""

from collections.abc import Iterator, Mapping
from typing import Final

from bistable.artifact.image import ImageKind
from bistable.tools.boot.plan import BootPlan, Loader
from bistable.tools.boot.render import COMMANDS
from bistable.tools.boot.ubootoptions import REDUNDANT, SHELL, WATCHDOG, in_one_place, off, on
from bistable.tools.disk.geometry import ENVIRONMENT, Geometry
from bistable.tools.disk.layout.model import Layout, TableKind

LOADERS: Final = frozenset({Loader.UBOOT, Loader.UBOOT_ENVIRONMENT})

_SCRIPT: Final = (*SHELL, "CMD_FS_GENERIC", "CMD_FAT")

_COPIES: Final = ("CMD_ITEST", "CMD_MEMORY", "CMD_PART", "CMD_IMPORTENV", "CMD_EXPORTENV")
"""What a script needs that keeps the two copies of the environment by itself."""

_FILE_SYSTEMS: Final[Mapping[ImageKind, str]] = {
    ImageKind.EXT4: "CMD_EXT4",
    ImageKind.SQUASHFS: "CMD_SQUASHFS",
    ImageKind.EROFS: "CMD_EROFS",
}
_TABLES: Final = {TableKind.GPT: "EFI_PARTITION", TableKind.MBR: "DOS_PARTITION"}
_MMC: Final = "mmc"
_INTERFACES: Final[Mapping[str, tuple[str, ...]]] = {
    _MMC: ("CMD_MMC", "MMC_WRITE"),
    "nvme": ("CMD_NVME",),
    "sata": ("CMD_SATA",),
    "scsi": ("CMD_SCSI",),
    "usb": ("CMD_USB",),
    "virtio": ("CMD_VIRTIO",),
}
_DEVICES: Final = (("SYS_MMC_ENV_DEV", "SYS_MMC_ENV_PART"), ("ENV_MMC_DEVICE_INDEX", "ENV_MMC_EMMC_HW_PARTITION"))
"""The same for which card or eMMC, and for its hardware partition."""


def uboot_config(layout: Layout, geometry: Geometry, plan: BootPlan) -> str:
    """Return the fragment for a plan whose loader is U-Boot."""
    return "\n".join([*_script_lines(layout, plan), "", *_environment_lines(geometry, plan), ""])


def _script_lines(layout: Layout, plan: BootPlan) -> Iterator[str]:
    interface = plan.disk.split()[0]
    yield "# What U-Boot needs for the boot script of this disk. Made by `bistable image files`."
    names = [*_SCRIPT, f"CMD_{COMMANDS[plan.architecture].upper()}", _TABLES[layout.disk.table]]
    names += [_FILE_SYSTEMS[layout.slots.filesystem], *_INTERFACES.get(interface, ())]
    names += _COPIES if plan.loader is Loader.UBOOT else ("CMD_SAVEENV",)
    names += [] if plan.watchdog is None else WATCHDOG
    yield from map(on, names)
    if interface not in _INTERFACES:
        yield f"# Missing here: what gives U-Boot the commands `{interface} read` and `{interface} write`."
    if plan.watchdog is None:
        yield "# Where the board sets bistable_watchdog, also CONFIG_WDT=y, CONFIG_WATCHDOG=y and CONFIG_CMD_WDT=y."


def _environment_lines(geometry: Geometry, plan: BootPlan) -> Iterator[str]:
    place = plan.environment
    interface, number = plan.disk.split()
    if plan.loader is Loader.UBOOT:
        yield "# The script keeps the environment by itself. With a redundant one of U-Boot's own, under its old or new"
        yield "# name, `env import -c` would take something else."
        yield from map(off, REDUNDANT)
    elif place is None or interface != _MMC:
        yield f"# Missing here: where U-Boot keeps its environment. It can be a partition of mmc, not of {interface}."
        yield "# Give it two redundant copies elsewhere, and name them in /etc/fw_env.config."
    else:
        start = geometry.partition(ENVIRONMENT).start
        yield f"# The environment is on the partition {ENVIRONMENT}. Some settings have a new name since 2025.10."
        yield from in_one_place("MMC")
        yield from map(on, REDUNDANT)
        yield f"CONFIG_ENV_SIZE={place.size:#x}"
        yield f"CONFIG_ENV_OFFSET={start + place.offsets[0]:#x}"
        yield f"CONFIG_ENV_OFFSET_REDUND={start + place.offsets[1]:#x}"
        for device, hardware in _DEVICES:
            yield f"CONFIG_{device}={number}"
            yield f"CONFIG_{hardware}=0"
