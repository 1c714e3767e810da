"""The description of the disk (`bistable image files` reads it), from the variables of the build."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from metaota.machine import architecture
from metaota.sizes import extras

if TYPE_CHECKING:
    from metaota.machine import Get


def render(get: Get) -> str:
    """Return the text of the layout.

    Raises:
        ValueError: a size is not a number.
    """

    def value(name: str) -> str:
        return get(f"BISTABLE_{name}") or ""

    storage = value("STORAGE_SIZE_MB")
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
            disk=value("UBOOT_DISK") if value("BOOTLOADER").startswith("uboot") else "",
        ),
        *_table("boot-partition", size=_mib(value("BOOT_SIZE_MB"))),
        *_table("slots", size=_mib(value("SLOT_SIZE_MB")), filesystem=value("ROOTFS_FSTYPE")),
        *_table("data", size="rest" if storage else _mib(value("DATA_SIZE_MB"))),
    ]
    for name, size, filesystem in extras(get):
        lines += _table(f"extra.{name}", size=_mib(str(size)), filesystem=filesystem)
    return "\n".join(lines) + "\n"


def _table(name: str, **values: str | int) -> list[str]:
    """Return the lines of a table; what is empty is left to its default."""
    # JSON's strings and numbers are TOML's, but for how it escapes characters.
    return [
        "",
        f"[{name}]",
        *(
            f"{key.replace('_', '-')} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in values.items()
            if value
        ),
    ]


def _mib(number: str) -> str:
    return f"{int(number)} MiB" if number else ""
