"""What a file system holds, whatever its kind: entries, and how two of them differ."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, TypeAlias

Attributes: TypeAlias = tuple[tuple[str, bytes], ...]
"""Names and values, by name."""


class ImageKind(StrEnum):
    """What an image is, by its superblock."""

    EXT2 = "ext2"
    EXT3 = "ext3"
    EXT4 = "ext4"
    SQUASHFS = "squashfs"
    EROFS = "erofs"
    VFAT = "vfat"
    UBIFS = "ubifs"
    UNKNOWN = "unknown"


EXT_KINDS: Final = frozenset({ImageKind.EXT2, ImageKind.EXT3, ImageKind.EXT4})


class Kind(Enum):
    """What an entry of a file system is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    CHARACTER_DEVICE = "character device"
    BLOCK_DEVICE = "block device"
    PIPE = "pipe"
    SOCKET = "socket"


DEVICES: Final = frozenset({Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in a file system.

    `path` is absolute and without symbolic links in front of its last part; bytes that are not UTF-8 are surrogates,
    as in `os.fsdecode`. `mode` has the 12 permission bits, `size` is in bytes, `mtime` in seconds since 1970, `target`
    is where a symbolic link points, `device` is (major, minor). `inode` is 0 where the kind of file system does not
    tell. `attributes` are the extended attributes as they are stored.
    """

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    links: int = 1
    inode: int = 0
    target: str = ""
    device: tuple[int, int] | None = None
    attributes: Attributes = ()

    @property
    def name(self) -> str:
        """Return the last part of the path; empty for the root."""
        return self.path.rpartition("/")[2]

    def beneath(self, name: str) -> str:
        """Return the path of what is called `name` in this directory."""
        return f"{self.path.rstrip('/')}/{name}"


class Change(Enum):
    """One way in which a path differs between two images."""

    ADDED = "added"
    REMOVED = "removed"
    KIND = "kind"
    CONTENT = "content"
    TARGET = "link target"
    DEVICE = "device number"
    MODE = "mode"
    OWNER = "owner"
    ATTRIBUTES = "extended attributes"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A path that is not the same in two images, and in what; times alone do not count."""

    path: str
    changes: tuple[Change, ...]
    old: Entry | None
    new: Entry | None
