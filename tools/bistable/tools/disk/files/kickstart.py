"""`disk.wks`: a kickstart by which wic, the image builder of OpenEmbedded, makes the same partitions.

One text for wic of scarthgap and later. wic lays out partitions in their order; `--offset` says where each one starts.
In an extended partition that does not count towards its size, so there only `--align` is left, which reaches the same
places if all sizes are multiples of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.limits import KIB
from bistable.tools.boot.plan import BootPlan
from bistable.tools.disk.fat import fat_shape
from bistable.tools.disk.filesystems import WRITABLE_FEATURES, ext4_label, ext4_uuid, fat_label, fat_serial
from bistable.tools.disk.geometry import (
    BOOT,
    DATA,
    ENVIRONMENT,
    GPT_HEAD,
    MBR_PRIMARY,
    SLOT_BOOTS,
    SLOTS,
    Geometry,
    Partition,
    filled_slots,
)
from bistable.tools.disk.layout.model import SECTOR, Blob, ExtraKind, ExtraWish, Layout, TableKind
from bistable.tools.disk.table import is_marked, partition_type

NOTHING: Final = "none"

_WORD: Final = re.compile(r"(?:[A-Za-z0-9_./:@%~-]|\$\{[A-Za-z0-9_]+\})+")
"""What wic and the shells that it starts hand on as it is; `${NAME}` is a variable of bitbake."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_LOGICAL_GAP: Final = 2 * SECTOR
"""What wic leaves in front of each logical partition for its record."""

_GPT_TAIL: Final = GPT_HEAD
"""What wic leaves behind the last partition: a sector more than is needed."""

_EXT4: Final = f"-F -b 4096 -I 256 -i 16384 -m 0 -O {','.join(('none', *WRITABLE_FEATURES))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KickstartTexts:
    """What is written there for files that wic takes: paths, as wic finds them.

    None: as they are called in the folder; an empty environment or data partition: `none`. `blob_dir` is the folder of
    the files in front of the partitions that the layout names by relative paths; None: they are those of this machine.
    """

    slot_file: str | None = None
    environment_file: str | None = None
    data_dir: str | None = None
    blob_dir: str | None = None


def check_texts(texts: KickstartTexts) -> None:
    """Raise RequestError if one of the texts cannot be handed to wic."""
    for text in (texts.slot_file, texts.environment_file, texts.data_dir, texts.blob_dir):
        if text is not None and not _WORD.fullmatch(text):
            raise RequestError(
                f"cannot write {text!r} into a kickstart of wic: it has characters that wic does not hand on",
                hint="letters, digits and _ . / : @ % ~ - are possible, and ${NAME}",
            )


def obstacle(layout: Layout, geometry: Geometry, texts: KickstartTexts) -> str | None:
    """Return why wic cannot make this disk, None if it can."""
    return _unspeakable(layout, texts) or _mistakable(layout, texts) or _misplaced(layout, geometry)


def _unspeakable(layout: Layout, texts: KickstartTexts) -> str | None:
    paths = [_blob_path(blob, texts) for blob in layout.blobs]
    paths += [str(extra.content.absolute()) for extra in layout.extras if extra.content]
    words = [(f"the path {path}", _WORD.fullmatch(path)) for path in paths]
    words += [(f"the name {extra.name!r}", _NAME.fullmatch(extra.name)) for extra in layout.extras]
    return next((f"{what} has characters that wic does not hand on" for what, good in words if not good), None)


def _mistakable(layout: Layout, texts: KickstartTexts) -> str | None:
    """Return which two files would be taken from one place."""
    places: dict[str, Blob] = {}
    for blob in layout.blobs:
        first = places.setdefault(_blob_path(blob, texts), blob)
        if first.file != blob.file:
            return f"{first.written} and {blob.written} would both be {_blob_path(blob, texts)}"
    return None


def _blob_path(blob: Blob, texts: KickstartTexts) -> str:
    if texts.blob_dir is None or PurePath(blob.written).is_absolute():
        return str(blob.file.absolute())
    return f"{texts.blob_dir}/{blob.file.name}"


def _misplaced(layout: Layout, geometry: Geometry) -> str | None:
    blobs = sorted(layout.blobs, key=lambda blob: blob.offset)
    for blob, after in pairwise(blobs):
        # Where partitions begin is said, so the files need not be there yet. wic refuses those that are too large.
        size = 1 if layout.blobs_end is not None else blob.file.stat().st_size
        if _aligned(blob.offset + size, KIB) > after.offset:
            return f"{blob.file} and {after.file} share a block of 1 KiB, the unit of wic"
    if geometry.table is TableKind.GPT and geometry.partitions[-1].end + _GPT_TAIL > geometry.size:
        return "wic leaves 34 sectors behind the last partition, and the disk ends before that"
    for before, part in pairwise(geometry.partitions):
        reached = _aligned(before.end + _LOGICAL_GAP, layout.disk.erase_block)
        if _is_logical(geometry, part) and reached != part.start:
            return (
                f"wic would start {part.name} at {reached} instead of {part.start}; in an MBR, the sizes of all "
                f"partitions from the third one on have to be multiples of the erase block"
            )
    return None


def kickstart(layout: Layout, geometry: Geometry, plan: BootPlan, texts: KickstartTexts) -> str:
    """Return the kickstart, for a disk without an obstacle."""
    return "\n".join([*_head(geometry), *_blobs(layout, texts), *_parts(layout, geometry, plan, texts), ""])


def _head(geometry: Geometry) -> Iterator[str]:
    table = geometry.table
    yield "# short-description: two slots, and data that stays"
    yield "# Made by `bistable image files`. Relative names start in DEPLOY_DIR_IMAGE, that of the directory for data"
    yield "# where wic runs. Boot partitions hold what IMAGE_BOOT_FILES_label-LABEL says, else IMAGE_BOOT_FILES."
    if table is TableKind.MBR:
        yield "# The slots are found by the identifier of the disk, which wic has to be told afterwards:"
        yield f"#   sfdisk --disk-id IMAGE 0x{geometry.uuid}"
    yield f"bootloader --ptable {'gpt' if table is TableKind.GPT else 'msdos'}"


def _blobs(layout: Layout, texts: KickstartTexts) -> Iterator[str]:
    for blob in sorted(layout.blobs, key=lambda blob: blob.offset):
        yield f"part --no-table --offset {blob.offset // SECTOR}s {_raw(_blob_path(blob, texts))}"


def _parts(layout: Layout, geometry: Geometry, plan: BootPlan, texts: KickstartTexts) -> Iterator[str]:
    for part in geometry.partitions:
        words = ["part", _place(layout, geometry, part), f"--fixed-size {part.size // KIB}k"]
        words += [_content(layout, part, texts), _identity(geometry, part, plan)]
        yield " ".join(words)
    rest = (geometry.size - geometry.partitions[-1].end - _gap_at_end(geometry)) // KIB
    if rest > 0:
        yield f"part --no-table --fixed-size {rest}k {_EMPTY}"


def _gap_at_end(geometry: Geometry) -> int:
    """Return what wic leaves out behind the last partition by itself."""
    if geometry.table is TableKind.GPT:
        return _GPT_TAIL
    return _LOGICAL_GAP if len(geometry.partitions) >= MBR_PRIMARY else 0


def _place(layout: Layout, geometry: Geometry, part: Partition) -> str:
    if _is_logical(geometry, part):
        return f"--align {layout.disk.erase_block // KIB}"
    return f"--offset {part.start // SECTOR}s"


def _identity(geometry: Geometry, part: Partition, plan: BootPlan) -> str:
    kind = partition_type(geometry.table, part.name)
    mark = ["--active"] if is_marked(geometry.table, part.name, plan.loader) else []
    if geometry.table is TableKind.MBR:
        return " ".join([f"--system-id 0x{kind}", *mark])
    return " ".join([f"--part-name {part.name}", f"--part-type {kind}", f"--uuid {part.uuid}", *mark])


_EMPTY: Final = "--source empty --fstype none"


def _raw(file: str) -> str:
    return f'--source rawcopy --sourceparams="file={file}" --fstype none'


def _content(layout: Layout, part: Partition, texts: KickstartTexts) -> str:
    if part.name in {BOOT, *SLOT_BOOTS}:
        return f"--source bootimg-partition {_fat(layout, part)}"
    if part.name == ENVIRONMENT:
        file = texts.environment_file or f"{ENVIRONMENT}.img"
        return _EMPTY if file == NOTHING else _raw(file)
    if part.name in SLOTS:
        file = texts.slot_file or f"rootfs.{layout.slots.filesystem.value}"
        return _raw(file) if part.name in filled_slots(layout) else _EMPTY
    if part.name == DATA:
        folder = texts.data_dir or DATA
        return _ext4(layout, part, None if folder == NOTHING else folder)
    return _extra(layout, part, next(extra for extra in layout.extras if extra.name == part.name))


def _extra(layout: Layout, part: Partition, extra: ExtraWish) -> str:
    content = None if extra.content is None else str(extra.content.absolute())
    if extra.filesystem is ExtraKind.EXT4:
        return _ext4(layout, part, content)
    if extra.filesystem is ExtraKind.FAT:
        return f"{_fat(layout, part)}{_folder(content)}"
    return _EMPTY if content is None else _raw(content)


def _fat(layout: Layout, part: Partition) -> str:
    width, cluster = fat_shape(part.size)
    return (
        f"--fstype vfat --label {fat_label(part.name)} --fsuuid 0x{fat_serial(layout, part.name):08X} "
        f'--mkfs-extraopts="-F {width} -s {cluster} -S {SECTOR}"'
    )


def _ext4(layout: Layout, part: Partition, folder: str | None) -> str:
    return (
        f"--fstype ext4 --label {ext4_label(part.name)} --fsuuid {ext4_uuid(layout, part.name)} "
        f'--mkfs-extraopts="{_EXT4}"{_folder(folder)}'
    )


def _folder(folder: str | None) -> str:
    return "" if folder is None else f" --source rootfs --rootfs-dir={folder} --no-fstab-update"


def _is_logical(geometry: Geometry, part: Partition) -> bool:
    return geometry.extended is not None and part.start > geometry.extended.start


def _aligned(position: int, block: int) -> int:
    return -(-position // block) * block
