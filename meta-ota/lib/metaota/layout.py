"""The description of the disk (`bistable image files` reads it), from the variables of the build."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from metaota import firmware
from metaota.blobs import places
from metaota.machine import architecture
from metaota.sizes import FRONT, extras

if TYPE_CHECKING:
    from metaota import Get


def render(get: Get) -> str:
    """Return the text of the layout.

    Raises:
        ValueError: a size is not a number.
    """

    def value(name: str) -> str:
        return get(f"BISTABLE_{name}") or ""

    storage, end = value("STORAGE_SIZE_MB"), value("BLOBS_END_MB")
    with_uboot = value("BOOTLOADER").startswith("uboot")
    lines = [
        "# Made from the variables BISTABLE_* of the build.",
        *_table("device", type=value("DEVICE_TYPE")),
        *_table(
            "disk",
            table=value("PARTITION_TABLE"),
            size=_mib(storage),
            erase_block=_mib(value("ERASE_BLOCK_MB")),
            seed=value("DISK_SEED"),
        ),
        *_table(
            "boot",
            loader=value("BOOTLOADER"),
            architecture=architecture(get),
            tries=int(value("TRIES")),
            kernel=value("KERNEL"),
            initrd=value("INITRD"),
            devicetree=value("DEVICETREE"),
            arguments=value("KERNEL_ARGS"),
            disk=value("UBOOT_DISK") if with_uboot else "",
            watchdog=value("UBOOT_WATCHDOG") if with_uboot else "",
            addresses=dict(word.split("=") for word in value("UBOOT_ADDRESSES").split()) if with_uboot else {},
        ),
        *(
            _table("blobs", at={name: f"{place} KiB" for name, place in places(get)}, end=_mib(end))
            if int(end or "0")
            else []
        ),
        *_table("boot-partition", size=_mib(value("BOOT_SIZE_MB")), files=_firmware_files(get)),
        *_table("slots", size=_mib(value("SLOT_SIZE_MB")), filesystem=value("ROOTFS_FSTYPE")),
        *_table("data", size="rest" if storage else _mib(value("DATA_SIZE_MB"))),
    ]
    for extra in extras(get):
        place = FRONT if extra.front else ""
        lines += _table(f"extra.{extra.name}", size=f"{extra.size} MiB", filesystem=extra.filesystem, place=place)
    return "\n".join(lines) + "\n"


def _firmware_files(get: Get) -> dict[str, str]:
    """Return what the layout adds lines to: the configuration of the firmware, as the BSP has it."""
    if not firmware.chooses(get):
        return {}
    return {"config.txt": f"{get('DEPLOY_DIR_IMAGE')}/{get('BOOTFILES_DIR_NAME')}/config.txt"}


def _table(name: str, **values: str | int | dict[str, str]) -> list[str]:
    """Return the lines of a table; what is empty is left to its default."""
    return ["", f"[{name}]", *(f"{key.replace('_', '-')} = {_toml(value)}" for key, value in values.items() if value)]


def _toml(value: str | int | dict[str, str]) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(name)} = {_toml(inside)}" for name, inside in value.items()) + " }"
    # JSON's strings and numbers are TOML's, but for how it escapes characters.
    return json.dumps(value, ensure_ascii=False)


def _mib(number: str) -> str:
    return f"{int(number)} MiB" if number else ""
