"""The superblock and the group descriptors of ext2, ext3 and ext4, as far as a reader needs them.

Layout: "Data Structures and Algorithms", ext4, in the Linux kernel's documentation (filesystems/ext4).
"""

import struct
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bistable.artifact.errors import RejectedError, UnsupportedError

OFFSET: Final = 1024
SIZE: Final = 1024
MAGIC: Final = 0xEF53
CLEAN: Final = 0x1
HAS_ERRORS: Final = 0x2

NEEDS_RECOVERY: Final = 0x4
SIXTY_FOUR_BITS: Final = 0x80
_READABLE: Final = 0x2 | NEEDS_RECOVERY | 0x40 | SIXTY_FOUR_BITS | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000
"""Incompatible features without effect on reading, or known: file types, recovery, extents, 64 bits, multiple mount
protection, flexible groups, attributes in inodes, checksum seed, large directories."""

_NAMES: Final = {
    0x1: "compression",
    0x8: "an external journal",
    0x10: "meta_bg",
    0x1000: "dirdata",
    0x8000: "inline_data",
    0x10000: "encrypt",
    0x20000: "casefold",
}
_BIGALLOC: Final = 0x200


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """What a reader needs: sizes in bytes, counts in blocks, times in seconds since 1970."""

    block_size: int
    blocks: int
    free_blocks: int
    reserved_blocks: int
    first_data_block: int
    blocks_per_group: int
    inodes: int
    inodes_per_group: int
    inode_size: int
    descriptor_size: int
    has_file_types: bool
    needs_recovery: bool
    is_clean: bool
    write_time: int
    label: str
    uuid: UUID

    @property
    def groups(self) -> int:
        """Return the number of block groups."""
        return -(-(self.blocks - self.first_data_block) // self.blocks_per_group)


def parse_superblock(block: bytes, image: str) -> Superblock:
    """Return what the 1024 bytes at offset 1024 of `image` say.

    Raises:
        RejectedError: not the superblock of such a file system, or one with impossible numbers.
        UnsupportedError: a feature that changes how files are stored, and that this reader does not know.
    """
    if len(block) != SIZE or _u16(block, 56) != MAGIC:
        raise damaged(image, "it has no ext2, ext3 or ext4 superblock")
    incompatible, read_only = _u32(block, 96), _u32(block, 100)
    _check_features(incompatible, read_only, image)
    wide = bool(incompatible & SIXTY_FOUR_BITS)
    dynamic = _u32(block, 76) > 0
    found = Superblock(
        block_size=1024 << min(_u32(block, 24), 7),
        blocks=_u32(block, 4) | (_u32(block, 336) << 32 if wide else 0),
        free_blocks=_u32(block, 12) | (_u32(block, 344) << 32 if wide else 0),
        reserved_blocks=_u32(block, 8) | (_u32(block, 340) << 32 if wide else 0),
        first_data_block=_u32(block, 20),
        blocks_per_group=_u32(block, 32),
        inodes=_u32(block, 0),
        inodes_per_group=_u32(block, 40),
        inode_size=_u16(block, 88) if dynamic else 128,
        descriptor_size=_u16(block, 254) if wide else 32,
        has_file_types=bool(incompatible & 0x2),
        needs_recovery=bool(incompatible & NEEDS_RECOVERY),
        is_clean=_u16(block, 58) & (CLEAN | HAS_ERRORS) == CLEAN,
        write_time=_u32(block, 48),
        label=block[120:136].partition(b"\x00")[0].decode("utf-8", "replace"),
        uuid=UUID(bytes=block[104:120]),
    )
    _check_numbers(found, image)
    return found


def damaged(image: str, why: str) -> RejectedError:
    """Return the error for a file system that contradicts itself."""
    return RejectedError(
        f"cannot read the file system in {image}: {why}",
        hint="check the image with 'e2fsck -fn', then build it again",
        rule="image.damaged",
    )


def _check_features(incompatible: int, read_only: int, image: str) -> None:
    unknown = incompatible & ~_READABLE
    names = [_NAMES.get(1 << bit, hex(1 << bit)) for bit in range(32) if unknown & 1 << bit]
    if read_only & _BIGALLOC:
        names.append("bigalloc")
    if names:
        raise UnsupportedError(
            f"cannot read the file system in {image}: it uses {', '.join(names)}",
            hint="build the image without this feature (mke2fs -O ^feature)",
            rule="image.feature",
        )


def _check_numbers(found: Superblock, image: str) -> None:
    sizes_are_sane = (
        found.inode_size in {128, 256, 512, 1024, 2048, 4096}
        and found.descriptor_size in {32, 64, 128, 256, 512, 1024}
        and found.inode_size <= found.block_size <= 64 * 1024
    )
    counts_are_sane = (
        found.blocks > found.first_data_block
        and 0 < found.blocks_per_group <= 8 * found.block_size
        and 0 < found.inodes_per_group <= 8 * found.block_size
        and found.inodes <= found.groups * found.inodes_per_group
    )
    if not (sizes_are_sane and counts_are_sane):
        raise damaged(image, "the numbers in its superblock do not fit together")


def _u16(block: bytes, at: int) -> int:
    value: int = struct.unpack_from("<H", block, at)[0]
    return value


def _u32(block: bytes, at: int) -> int:
    value: int = struct.unpack_from("<I", block, at)[0]
    return value
