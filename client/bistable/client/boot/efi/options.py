"""Boot variables of UEFI as bytes: the load option behind a `Boot####`, and lists of their numbers.

UEFI Specification 2.10, section 3.1.3 (EFI_LOAD_OPTION) and table 3.1. Everything is little-endian.
"""

import re
import struct
from dataclasses import dataclass
from typing import Final

ACTIVE: Final = 1
MOST_OPTION: Final = 64 * 1024
"""Bytes of a load option; firmware has less room for one."""

MOST_ENTRIES: Final = 4096
MOST_DESCRIPTION: Final = 512
"""Characters."""

NAME: Final = re.compile(r"Boot([0-9A-Fa-f]{4})")


class BadOptionError(Exception):
    """The bytes are not what the variable should hold: why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOption:
    """What a boot entry is called, and whether the firmware may start it by itself."""

    description: str
    active: bool


def parse_option(data: bytes) -> LoadOption:
    """Return what is known of a load option.

    Raises:
        BadOptionError: it is too long, its description has no end, or its device path is longer than it.
    """
    if not 6 < len(data) <= MOST_OPTION:
        raise BadOptionError(f"a load option of {len(data)} bytes")
    attributes, path_size = struct.unpack_from("<IH", data)
    end = 6
    while data[end : end + 2] not in {b"\0\0", b""}:
        end += 2
        if end - 6 > 2 * MOST_DESCRIPTION:
            raise BadOptionError("a description that is too long")
    if len(data) - end < 2 + path_size:
        raise BadOptionError("a device path that is longer than the load option")
    return LoadOption(description=data[6:end].decode("utf-16-le", "replace"), active=bool(attributes & ACTIVE))


def with_active(data: bytes, *, active: bool) -> bytes:
    """Return the same load option, which the firmware may start by itself or not.

    Raises:
        BadOptionError: it is not a load option.
    """
    parse_option(data)
    (attributes,) = struct.unpack_from("<I", data)
    return struct.pack("<I", attributes | ACTIVE if active else attributes & ~ACTIVE) + data[4:]


def parse_numbers(data: bytes) -> tuple[int, ...]:
    """Return the numbers of entries in BootOrder, BootNext or BootCurrent.

    Raises:
        BadOptionError: they are not numbers of 16 bits, or too many.
    """
    if len(data) % 2 or len(data) > 2 * MOST_ENTRIES:
        raise BadOptionError(f"a list of entries of {len(data)} bytes")
    return struct.unpack(f"<{len(data) // 2}H", data)


def render_numbers(numbers: tuple[int, ...]) -> bytes:
    """Return the bytes of a list of entries."""
    return struct.pack(f"<{len(numbers)}H", *numbers)
