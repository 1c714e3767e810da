"""The firmware of the Raspberry Pi as what chooses the slot: each slot has a boot partition of its own.

What is on that partition lies in the slot as well, in one directory: the client copies it from there with each update.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from metaota import Get

LOADER = "raspberry-pi"
FOLDER = "/boot/firmware"
"""In the slot; the client's setting boot.firmware."""

CHOICE = "BOOT"
"""The label of the partition that names a slot; nothing of the system lies on it."""

OWN = ("config.txt", "cmdline.txt")
"""What the layout makes for each slot, in place of what the BSP has."""

_WORD = re.compile(r"[\w;\-./*]+")
"""One file of IMAGE_BOOT_FILES, as wic reads it."""


def chooses(get: Get) -> bool:
    """Return whether this firmware chooses the slot."""
    return get("BISTABLE_BOOTLOADER") == LOADER


def boot_files(get: Get) -> dict[str, str]:
    """Return label of a boot partition -> what goes there, in the form of IMAGE_BOOT_FILES."""
    if not chooses(get):
        return {}
    return {
        CHOICE: " ".join(f"bistable/boot/{name};{name}" for name in ("autoboot.txt", "bistable/layout.json")),
        **{f"{CHOICE}-{slot.upper()}": slot_files(get, slot) for slot in ("a", "b")},
    }


def slot_files(get: Get, slot: str) -> str:
    """Return what goes onto the boot partition of a slot: all of the BSP, and what names the slot."""
    initrd = get("BISTABLE_INITRD") or ""
    words = ["${IMAGE_BOOT_FILES}", *(f"bistable/boot-{slot}/{name};{name}" for name in OWN)]
    words += [f"{get('BISTABLE_INITRD_DEPLOYED')};{os.path.basename(initrd)}"] if initrd else []
    return " ".join(words)


def copies(words: str, matches: Callable[[str], Iterable[str]]) -> dict[str, str]:
    """Return place on the partition -> deployed file, as wic would copy them: of two for one place, the last.

    `matches` gives the deployed files that a pattern with `*` means.
    """
    found = {}
    for word in _WORD.findall(words):
        source, _, target = word.partition(";")
        if "*" in source:
            # A name that was given is that of a folder.
            found.update({os.path.join(target, os.path.basename(path)): path for path in sorted(matches(source))})
        else:
            found[target or source] = source
    return found
