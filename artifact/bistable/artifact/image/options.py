"""What is wanted of a new image, and what was made."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from bistable.artifact.image.model import ImageKind
from bistable.artifact.image.tree import Tree

MAKEABLE: Final = (ImageKind.EXT4, ImageKind.SQUASHFS, ImageKind.EROFS)

EXT4_FEATURES: Final = (
    "has_journal",
    "ext_attr",
    "resize_inode",
    "dir_index",
    "filetype",
    "extent",
    "flex_bg",
    "sparse_super",
    "large_file",
    "huge_file",
    "dir_nlink",
    "extra_isize",
    "metadata_csum",
)
"""What Linux since 3.6, U-Boot and GRUB can read: without `64bit`, which serves images over 16 TiB, and without what
mke2fs switches on since 1.47: `metadata_csum_seed`, which GRUB before 2.12 refuses, and `orphan_file`, which older
versions of e2fsck refuse."""

DEFAULT_COMPRESSION: Final = {ImageKind.SQUASHFS: "zstd", ImageKind.EROFS: "lz4hc"}
NO_COMPRESSION: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """How to make an image.

    `epoch`: later times become this one (SOURCE_DATE_EPOCH); None: all times stay as the source has them, and the
    image's own is the latest of them. `size` in bytes (ext4 only); None: as much as the content needs and
    `margin_percent` more. `label` at most 16 bytes (ext4 only). `uuid` None: made from the tree. `keep_owners`: a
    directory's owners, else root owns all; a tar's are always kept. `features` are ext4's, all of them. `compression`:
    a name that mksquashfs or mkfs.erofs takes, or `none`; None: zstd for squashfs, lz4hc for erofs.
    """

    kind: ImageKind = ImageKind.EXT4
    epoch: int | None = None
    size: int | None = None
    margin_percent: int = 20
    label: str = ""
    uuid: UUID | None = None
    keep_owners: bool = False
    features: tuple[str, ...] = EXT4_FEATURES
    compression: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the maker of one kind of image gets: `file` is empty, `staging` a private directory."""

    tree: Tree
    file: BinaryIO
    staging: Path
    options: ImageOptions
    uuid: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """An image that was made: `size` in bytes, `entries` counts all names in it, `time` is the image's own.

    `left_out` says what of the source is not in it, and why.
    """

    path: Path
    kind: ImageKind
    size: int
    entries: int
    time: int
    uuid: UUID
    left_out: tuple[str, ...] = ()
