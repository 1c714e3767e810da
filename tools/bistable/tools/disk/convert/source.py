"""The image that is converted: opened, unpacked if it is compressed, and its partitions told apart."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import BistableError, RejectedError, RequestError
from bistable.artifact.image import PREFIX_SIZE, ImageKind, Kind, identify
from bistable.artifact.image.model import EXT_KINDS
from bistable.artifact.image.volume import find
from bistable.artifact.model import Compression
from bistable.artifact.scratch import scratch_file
from bistable.tools.disk.outputs import decompress
from bistable.tools.disk.partitions import Found, read_table
from bistable.tools.disk.sparse import Progress
from bistable.tools.disk.volumes import open_partition

_MAGICS: Final = {
    b"\x1f\x8b": Compression.GZIP,
    b"\xfd7zXZ\x00": Compression.XZ,
    b"\x28\xb5\x2f\xfd": Compression.ZSTD,
}
_ROOT_SIGNS: Final = ("/etc/os-release", "/usr/lib/os-release", "/sbin/init")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An image with one system: where its root file system is, and the boot partition, if there is one."""

    disk: BinaryIO
    name: str
    root: Found
    boot: Found | None
    partitions: tuple[Found, ...]


@contextmanager
def open_source(path: Path, *, beside: Path, on_progress: Progress) -> Iterator[Source]:
    """Open the image of a disk, or of an ext4 file system alone; a compressed one is unpacked beside the output.

    Raises:
        RequestError: it cannot be read, or it has no root file system, or more than one.
        RejectedError: it is damaged.
        MachineError: a tool is missing, or the disk is full.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as e:
        raise RequestError(f"cannot read {path}: {e.strerror}") from e
    with file:
        head = os.pread(file.fileno(), PREFIX_SIZE, 0)
        packed = next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), None)
        if packed is None:
            yield _source(file, path.name)
            return
        with scratch_file(path.stem, beside=beside) as scratch:
            decompress(file, scratch.file, path.name, kind=packed, on_progress=on_progress)
            yield _source(scratch.file, path.stem)


def _source(disk: BinaryIO, name: str) -> Source:
    size = disk.seek(0, os.SEEK_END)
    kind = identify(os.pread(disk.fileno(), PREFIX_SIZE, 0))
    if kind in EXT_KINDS:
        whole = Found(number=1, start=0, size=size, type="", name="", uuid="", kind=kind)
        return Source(disk=disk, name=name, root=whole, boot=None, partitions=(whole,))
    partitions = read_table(disk, name).partitions
    for partition in partitions:
        if partition.start + partition.size > size:
            raise RejectedError(
                f"cannot read {name}: partition {partition.number} ends at {partition.start + partition.size} bytes, "
                f"behind its end at {size}",
                hint="the image is cut off: fetch it again",
            )
    roots = [partition for partition in partitions if _is_root(disk, partition)]
    if len(roots) != 1:
        raise RequestError(
            f"cannot convert {name}: "
            + ("none" if not roots else f"{len(roots)}")
            + " of its partitions hold a root file system (ext2 to ext4, with /etc/os-release or /sbin/init)",
            hint="images with exactly one system can be converted",
        )
    boots = [partition for partition in partitions if partition.kind is ImageKind.VFAT]
    if len(boots) > 1:
        raise RequestError(f"cannot convert {name}: it has {len(boots)} FAT partitions, at most one is understood")
    return Source(disk=disk, name=name, root=roots[0], boot=boots[0] if boots else None, partitions=partitions)


def _is_root(disk: BinaryIO, partition: Found) -> bool:
    if partition.kind not in EXT_KINDS:
        return False
    try:
        with open_partition(disk, partition, f"partition {partition.number}") as volume:
            found = (find(volume, path) for path in _ROOT_SIGNS)
            return any(entry is not None and entry.kind is Kind.FILE for entry in found)
    except BistableError as e:
        raise RejectedError(
            f"cannot read partition {partition.number}: {e.what.removeprefix('cannot read ')}", hint=e.hint
        ) from e
