"""Tell the kind of a file system from its first bytes, without any I/O."""

from typing import Final

from bistable.artifact.image.model import ImageKind

PREFIX_SIZE: Final = 2048
"""How many bytes from the start of an image `identify` looks at."""

_SUPERBLOCK: Final = 1024
_HAS_JOURNAL: Final = 0x4
_EXT3_INCOMPATIBLE: Final = 0x2 | 0x4 | 0x10
"""Directory file types, recovery and meta block groups: what ext3 knows, and ext2 but for recovery."""

_EXT3_READ_ONLY: Final = 0x1 | 0x2 | 0x4
_UBIFS_MAGIC: Final = b"\x31\x18\x10\x06"
_UBIFS_SUPERBLOCK_NODE: Final = 6


def identify(first_bytes: bytes) -> ImageKind:
    """Return the kind of the file system that starts with `first_bytes`, of which 2048 are enough."""
    if first_bytes[_SUPERBLOCK + 56 : _SUPERBLOCK + 58] == b"\x53\xef" and len(first_bytes) >= _SUPERBLOCK + 104:
        return _generation(first_bytes[_SUPERBLOCK : _SUPERBLOCK + 104])
    if first_bytes.startswith((b"hsqs", b"sqsh")):
        return ImageKind.SQUASHFS
    if first_bytes[_SUPERBLOCK : _SUPERBLOCK + 4] == b"\xe2\xe1\xf5\xe0":
        return ImageKind.EROFS
    if first_bytes.startswith(_UBIFS_MAGIC) and first_bytes[20:21] == bytes([_UBIFS_SUPERBLOCK_NODE]):
        return ImageKind.UBIFS
    if first_bytes[510:512] == b"\x55\xaa" and (
        first_bytes[54:59] in {b"FAT12", b"FAT16"} or first_bytes[82:87] == b"FAT32"
    ):
        return ImageKind.VFAT
    return ImageKind.UNKNOWN


def _generation(superblock: bytes) -> ImageKind:
    """Tell ext2, 3 and 4 apart as blkid does: by the features that the older ones do not know."""
    compatible, incompatible, read_only = (int.from_bytes(superblock[at : at + 4], "little") for at in (92, 96, 100))
    if incompatible & ~_EXT3_INCOMPATIBLE or read_only & ~_EXT3_READ_ONLY:
        return ImageKind.EXT4
    return ImageKind.EXT3 if compatible & _HAS_JOURNAL else ImageKind.EXT2
