"""Extended attributes of ext2, ext3 and ext4: behind the fields of an inode, or in a block of their own."""

import struct
from collections.abc import Callable, Iterator
from typing import Final

_MAGIC: Final = b"\x00\x00\x02\xea"
_BLOCK_HEADER: Final = 32
_ENTRY: Final = struct.Struct("<BBHIII")
_PREFIXES: Final = {
    0: "",
    1: "user.",
    2: "system.posix_acl_access",
    3: "system.posix_acl_default",
    4: "trusted.",
    6: "security.",
    7: "system.",
    8: "system.richacl",
}

ReadValue = Callable[[int, int], bytes]
"""(inode number, size) -> the value that is kept in an inode of its own."""


def parse_in_inode(area: bytes, read_value: ReadValue) -> Iterator[tuple[str, bytes]]:
    """Yield name and value of what stands behind the fields of an inode.

    Raises:
        ValueError: it contradicts itself.
    """
    if area.startswith(_MAGIC):
        yield from _entries(area, len(_MAGIC), len(_MAGIC), read_value)


def parse_block(block: bytes, read_value: ReadValue) -> Iterator[tuple[str, bytes]]:
    """Yield name and value of what an attribute block holds.

    Raises:
        ValueError: it is none, or contradicts itself.
    """
    if not block.startswith(_MAGIC):
        raise ValueError("an attribute block has no magic number")
    yield from _entries(block, _BLOCK_HEADER, 0, read_value)


def _entries(area: bytes, at: int, base: int, read_value: ReadValue) -> Iterator[tuple[str, bytes]]:
    """`base` is where the offsets of values count from."""
    while at + 4 <= len(area) and area[at : at + 4] != bytes(4):
        if at + _ENTRY.size > len(area):
            raise ValueError("a list of attributes is cut off")
        name_length, prefix, offset, inode, size, _ = _ENTRY.unpack_from(area, at)
        name = area[at + _ENTRY.size : at + _ENTRY.size + name_length]
        start = base + offset
        if prefix not in _PREFIXES or len(name) != name_length or (not inode and start + size > len(area)):
            raise ValueError("an attribute is impossible")
        value = read_value(inode, size) if inode else area[start : start + size]
        yield _PREFIXES[prefix] + name.decode("utf-8", "surrogateescape"), value
        at += -(-(_ENTRY.size + name_length) // 4) * 4
