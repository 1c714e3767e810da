"""One inode of ext2, ext3 or ext4: who owns it, when it changed, and where its content is."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bistable.artifact.image.model import Kind

KINDS: Final[Mapping[int, Kind]] = {
    0o1: Kind.PIPE,
    0o2: Kind.CHARACTER_DEVICE,
    0o4: Kind.DIRECTORY,
    0o6: Kind.BLOCK_DEVICE,
    0o10: Kind.FILE,
    0o12: Kind.SYMLINK,
    0o14: Kind.SOCKET,
}
TYPES: Final[Mapping[Kind, int]] = {kind: number << 12 for number, kind in KINDS.items()}
"""Kind -> the upper bits of the mode."""

EXTENTS_FLAG: Final = 0x80000
FAST_SYMLINK_SIZE: Final = 60
BASIC_SIZE: Final = 128

_BASIC: Final = struct.Struct("<HHIIIIIHHIII60sIIIIHHHHHH")
_EXTRA: Final = struct.Struct("<HHIIII")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inode:
    """The fields of an inode; `block` is its 60-byte map, `attribute_block` 0 if none, `sectors` of 512 bytes."""

    number: int
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    times: tuple[int, int, int]
    """Access, change and modification, in seconds since 1970."""
    links: int
    sectors: int
    flags: int
    block: bytes
    attribute_block: int
    attributes: bytes
    """What stands behind the fields, in inodes of more than 128 bytes."""

    @property
    def mtime(self) -> int:
        """Return when the content changed last."""
        return self.times[2]

    @property
    def has_extents(self) -> bool:
        """Return whether the map is a tree of extents, not of single blocks."""
        return bool(self.flags & EXTENTS_FLAG)

    def holds_its_target(self, block_size: int) -> bool:
        """Return whether the target of this symbolic link stands in its map, not in a block."""
        own = self.sectors - (block_size // 512 if self.attribute_block else 0)
        return self.size < FAST_SYMLINK_SIZE and own == 0 and not self.has_extents

    def device(self) -> tuple[int, int]:
        """Return (major, minor) of a device."""
        old, new = struct.unpack_from("<II", self.block)
        if old:
            return old >> 8 & 0xFF, old & 0xFF
        return new >> 8 & 0xFFF, (new & 0xFF) | (new >> 12 & 0xFFF00)


def parse_inode(number: int, raw: bytes) -> Inode | None:
    """Return inode `number` from its 128 or more bytes, or None if its kind is none."""
    (
        mode, uid, size, atime, ctime, mtime, _dtime, gid, links, sectors, flags, _version, block,
        _generation, acl, size_high, _fragment, _sectors_high, acl_high, uid_high, gid_high, _sum, _reserved,
    ) = _BASIC.unpack_from(raw)  # fmt: skip
    kind = KINDS.get(mode >> 12)
    if kind is None:
        return None
    more = (0, 0, 0)
    attributes = b""
    if len(raw) > BASIC_SIZE:
        extra_size, _sum_high, *extra = _EXTRA.unpack_from(raw, BASIC_SIZE)[:5]
        more = (extra[2], extra[0], extra[1]) if extra_size >= 16 else more
        attributes = raw[BASIC_SIZE + extra_size :]
    return Inode(
        number=number,
        kind=kind,
        mode=mode & 0o7777,
        uid=uid | uid_high << 16,
        gid=gid | gid_high << 16,
        size=size | size_high << 32,
        times=(_time(atime, more[0]), _time(ctime, more[1]), _time(mtime, more[2])),
        links=links,
        sectors=sectors,
        flags=flags,
        block=block,
        attribute_block=acl | acl_high << 32,
        attributes=attributes,
    )


def _time(seconds: int, extra: int) -> int:
    """The low 32 bits are signed; two bits of the extra field count how often they went round."""
    return (seconds ^ 1 << 31) - (1 << 31) + ((extra & 3) << 32)
