"""File systems beside the slots: what they are called, and which features they have."""

import uuid
from typing import Final

from bistable.artifact.image.options import EXT4_FEATURES
from bistable.tools.disk.geometry import identity
from bistable.tools.disk.layout.model import Layout

WRITABLE_FEATURES: Final = tuple(name for name in EXT4_FEATURES if name != "metadata_csum")
"""For file systems that are written to. The kernel writes the superblock past the journal, twice in each boot; it is
two sectors, and if the power goes between them, its checksum is wrong and nothing can be mounted until e2fsck has been
told to use a copy, which small file systems do not have. Without checksum both halves are as good as before."""

_FAT_LABEL_LIMIT: Final = 11
_EXT4_LABEL_LIMIT: Final = 16


def fat_label(partition: str) -> str:
    """Return the label of a FAT file system."""
    return partition[:_FAT_LABEL_LIMIT].upper()


def fat_serial(layout: Layout, partition: str) -> int:
    """Return the serial number of a FAT file system."""
    return identity(layout, f"fat {partition}").node & 0xFFFFFFFF


def ext4_label(partition: str) -> str:
    """Return the label of an ext4 file system."""
    return partition[:_EXT4_LABEL_LIMIT]


def ext4_uuid(layout: Layout, partition: str) -> uuid.UUID:
    """Return the identifier of an ext4 file system."""
    return identity(layout, f"ext4 {partition}")
