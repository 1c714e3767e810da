"""The image that a slot holds, made of whatever the caller has: a directory, a tar file, or an image."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.image import ImageKind, ImageOptions, image_kind, make_image
from bistable.artifact.image.model import EXT_KINDS
from bistable.artifact.image.tree import TreeBuilder
from bistable.artifact.run import run
from bistable.tools.disk.sparse import copy_into
from bistable.tools.disk.tree import BuildingTree, FolderTree, ReadableTree, RootTree, changed_image, reading

IMAGE_KINDS: Final = EXT_KINDS | {ImageKind.SQUASHFS, ImageKind.EROFS}
LABEL: Final = "rootfs"
_TIMEOUT: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotWish:
    """What the image is to be: the size of a slot, the kind that is made of directories and tar files, what goes in.

    `change` puts it there; `check` looks at an image that cannot be changed, `check_kind` at what kind it is. `epoch`
    (seconds since 1970) is the time of what is new, and the latest of all in what is made; None: 0, and times stay as
    they are.
    """

    size: int
    kind: ImageKind
    change: Callable[[RootTree], None]
    check: Callable[[ReadableTree], None]
    check_kind: Callable[[ImageKind], None]
    epoch: int | None
    keep_owners: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotImage:
    """An image that was made: `left_out` says what of the source is not in it, and why."""

    kind: ImageKind
    left_out: tuple[str, ...] = ()


def make_slot_image(source: Path, target: Path, wish: SlotWish) -> SlotImage:
    """Make the image `target`, which is not there yet, of `source`.

    Raises:
        RequestError: the source is of no use, lacks something, or is larger than a slot.
        RejectedError: it is damaged.
        MachineError: a tool is missing or fails.
    """
    if not source.exists():
        raise RequestError(f"cannot read the root file system {source}: it does not exist")
    found = ImageKind.UNKNOWN if source.is_dir() else image_kind(source)
    wish.check_kind(wish.kind if found is ImageKind.UNKNOWN else found)
    if found is ImageKind.UNKNOWN:
        made = SlotImage(kind=wish.kind, left_out=_make(source, target, wish))
    else:
        _take(source, target, found, wish)
        made = SlotImage(kind=found)
    size = target.stat().st_size
    if size > wish.size:
        raise RequestError(
            f"cannot put {source} into a slot: it is an image of {size} bytes, and a slot has {wish.size}",
            hint="make [slots] size larger, or the image smaller",
        )
    return made


def _make(source: Path, target: Path, wish: SlotWish) -> tuple[str, ...]:
    options = ImageOptions(
        kind=wish.kind,
        epoch=wish.epoch,
        size=wish.size if wish.kind is ImageKind.EXT4 else None,
        label=LABEL if wish.kind is ImageKind.EXT4 else "",
        keep_owners=wish.keep_owners,
    )
    with tempfile.TemporaryDirectory(prefix="bistable-") as staging:

        def add(builder: TreeBuilder, base: Path) -> None:
            wish.change(BuildingTree(builder, base, Path(staging), time=wish.epoch or 0))

        return make_image(source, target, options, add=add).left_out


def _take(source: Path, target: Path, kind: ImageKind, wish: SlotWish) -> None:
    if kind not in IMAGE_KINDS:
        raise RequestError(
            f"cannot use {source} as a root file system: it is {kind.value}",
            hint="a directory, a tar file, or an ext4, squashfs or erofs image is needed",
        )
    size = source.stat().st_size
    if size > wish.size:
        raise RequestError(
            f"cannot put {source} into a slot: it is an image of {size} bytes, and a slot has {wish.size}",
            hint="make [slots] size larger, or the image smaller",
        )
    with target.open("xb") as file:
        copy_into(source, file, 0)
        file.truncate(size)
    if kind in EXT_KINDS:
        with changed_image(target, epoch=wish.epoch or 0) as tree:
            wish.change(tree)
    elif kind is ImageKind.SQUASHFS:
        with reading(target) as tree_read:
            wish.check(tree_read)
    else:
        _look_into_erofs(target, wish.check)


def _look_into_erofs(source: Path, check: Callable[[ReadableTree], None]) -> None:
    """Unpack it: no program lists an erofs image and reads single files out of it."""
    with tempfile.TemporaryDirectory(prefix="bistable-") as staging:
        content = Path(staging) / "content"
        run(["fsck.erofs", f"--extract={content}", "--no-preserve", source], timeout=_TIMEOUT)
        check(FolderTree(content))
