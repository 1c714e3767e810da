"""A boot entry for a slot, as bytes: a device path to the kernel on the boot partition, and the kernel's arguments.

UEFI Specification 2.10, sections 3.1.3 (EFI_LOAD_OPTION), 10.3.5.1 (hard drive) and 10.3.5.4 (file path).
"""

import struct
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bistable.client.boot.efi.options import ACTIVE
from bistable.client.model import SlotName

_MEDIA, _DRIVE, _FILE = 4, 1, 4
_END: Final = b"\x7f\xff\x04\x00"
_GPT, _GUID = 2, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition of a GPT: its number, where it is in logical blocks, and its own GUID."""

    number: int
    start: int
    size: int
    guid: UUID


def description(slot: SlotName) -> str:
    """Return what a slot's entry is called."""
    return f"bistable {slot}"


def render_option(slot: SlotName, partition: Partition, arguments: str, *, active: bool) -> bytes:
    """Return the load option of a slot; the kernel is where `place` puts it."""
    file = f"\\EFI\\bistable\\{slot}\\linux.efi\0".encode("utf-16-le")
    path = (
        struct.pack("<BBHIQQ", _MEDIA, _DRIVE, 42, partition.number, partition.start, partition.size)
        + partition.guid.bytes_le
        + bytes((_GPT, _GUID))
        + struct.pack("<BBH", _MEDIA, _FILE, 4 + len(file))
        + file
        + _END
    )
    head = struct.pack("<IH", ACTIVE if active else 0, len(path)) + f"{description(slot)}\0".encode("utf-16-le")
    return head + path + arguments.encode("utf-16-le", "surrogateescape")
