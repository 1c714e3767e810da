"""The byte layouts: an environment of U-Boot and the image that wraps a boot script, as construct models.

Nothing but `ubootenv` and `legacy` imports this module: no container of construct leaves them.

An environment is a CRC32 (little endian, as libubootenv and all usual boards have it), in a redundant one a counter,
and data up to the end of the copy; the CRC is that of the data. A legacy image is a header of 64 bytes in big endian
whose own CRC is taken with its CRC field at 0; a script in it is preceded by a list of lengths that ends with 0.
"""

import zlib
from typing import Any, Final

from construct import (  # type: ignore[import-untyped]  # it has no stubs
    Bytes,
    Const,
    Int8ub,
    Int32ub,
    Int32ul,
    PaddedString,
    RawCopy,
    Struct,
    Terminated,
    this,
)

COUNTER: Final = 1
"""Bytes of the counter in a redundant environment."""
CRC: Final = 4


def plain(size: int) -> Any:
    """Return the layout of an environment of `size` bytes without a second copy."""
    return Struct(
        "crc" / Int32ul,
        "data" / Bytes(size - CRC),
        "end" / Terminated,
    )


def redundant(size: int) -> Any:
    """Return the layout of one of two copies, `size` bytes each."""
    return Struct(
        "crc" / Int32ul,
        "counter" / Int8ub,
        "data" / Bytes(size - CRC - COUNTER),
        "end" / Terminated,
    )


HEADER: Final = 64
_MAGIC: Final = 0x27051956

FIELDS: Final = Struct(
    "time" / Int32ub,
    "size" / Int32ub,
    "load" / Int32ub,
    "entry" / Int32ub,
    "data_crc" / Int32ub,
    "os" / Int8ub,
    "architecture" / Int8ub,
    "type" / Int8ub,
    "compression" / Int8ub,
    "name" / PaddedString(32, "ascii"),
)

LEGACY_IMAGE: Final = Struct(
    "header"
    / Struct(
        "magic" / Const(_MAGIC, Int32ub),
        "crc" / Int32ub,
        "fields" / RawCopy(FIELDS),
    ),
    "data" / Bytes(this.header.fields.value.size),
    "end" / Terminated,
)

SCRIPT: Final = Struct(
    "length" / Int32ub,
    "list_end" / Const(0, Int32ub),
    "text" / Bytes(this.length),
    "end" / Terminated,
)


def header_crc(fields: bytes) -> int:
    """Return the CRC of a header with these fields."""
    return zlib.crc32(_MAGIC.to_bytes(4, "big") + bytes(4) + fields)
