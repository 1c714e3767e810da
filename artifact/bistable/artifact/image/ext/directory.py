"""The names in one block of a directory of ext2, ext3 or ext4."""

import struct
from collections.abc import Iterator
from typing import Final

_HEAD: Final = struct.Struct("<IHBB")
_OWN: Final = frozenset({b".", b".."})


def parse_names(block: bytes) -> Iterator[tuple[str, int]]:
    """Yield (name, inode number) of what a directory block holds, without itself and its parent.

    The inner nodes of hashed directories and the checksum at a block's end look like unused entries, so every directory
    can be read as a plain list.

    Raises:
        ValueError: an entry has an impossible length or name.
    """
    at = 0
    while at < len(block):
        number, length, name_length, _ = _HEAD.unpack_from(block, at)
        if length in {0, 0xFFFF} and len(block) == 1 << 16:
            length = len(block)
        if length < _HEAD.size or length % 4 or at + length > len(block) or _HEAD.size + name_length > length:
            raise ValueError("an entry has an impossible length")
        if number:
            name = block[at + _HEAD.size : at + _HEAD.size + name_length]
            if name not in _OWN:
                yield _checked(name), number
        at += length


def _checked(name: bytes) -> str:
    if not name or b"/" in name or b"\x00" in name:
        raise ValueError("an entry has an impossible name")
    return name.decode("utf-8", "surrogateescape")
