"""FAT file systems: made and read by mkfs.fat and mtools, the same bytes every time."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.image.debugfs import open_path
from bistable.artifact.run import ProgramError, run
from bistable.tools.disk.layout.model import SECTOR

EARLIEST: Final = 315532800
"""1 January 1980, the first time that FAT can say."""

_TIMEOUT: Final = 600.0
_CLUSTERS_16: Final = 4085
_CLUSTERS_32: Final = 65525
"""From so many clusters on it is FAT16, or FAT32."""

_SPARE: Final = 1100
"""At least as many clusters as the tables themselves can take away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FatWish:
    """What to make: where in the file (bytes), how large, label (11 characters), serial number, time of everything."""

    start: int
    size: int
    label: str
    serial: int
    time: int


def make_fat(file: BinaryIO, wish: FatWish, content: Mapping[PurePosixPath, bytes | Path]) -> None:
    """Make a FAT file system in the open `file`, with `content`: path -> bytes, or a file of this machine.

    Raises:
        RequestError: it does not have room for the content, or a file cannot be read.
        MachineError: a tool is missing or fails.
    """
    blocks = wish.size // 1024
    width, cluster = fat_shape(wish.size)
    run(
        [
            *("mkfs.fat", "--offset", str(wish.start // SECTOR), "--invariant", "-n", wish.label),
            *("-i", f"{wish.serial:08x}", "-F", str(width), "-s", str(cluster)),
            *("-S", str(SECTOR), open_path(file), str(blocks)),
        ],
        timeout=_TIMEOUT,
    )
    with tempfile.TemporaryDirectory(prefix="bistable-") as staging:
        _copy(f"{open_path(file)}@@{wish.start}", wish, content, Path(staging))


def fat_shape(size: int) -> tuple[int, int]:
    """Return the width of the table, in bits, and the sectors of a cluster; firmware reads all three kinds.

    The kind follows from the number of clusters alone, so a number that is near a border is avoided.
    """
    mib = size >> 20
    cluster = 1 if mib <= 64 else 4 if mib <= 512 else 8
    while True:
        clusters = size // (SECTOR * cluster)
        if clusters >= _CLUSTERS_32 + _SPARE:
            return 32, cluster
        if clusters < _CLUSTERS_16:
            return 12, cluster
        if _CLUSTERS_16 + _SPARE <= clusters < _CLUSTERS_32:
            return 16, cluster
        cluster *= 2


def _copy(image: str, wish: FatWish, content: Mapping[PurePosixPath, bytes | Path], staging: Path) -> None:
    """Copy everything, directory by directory, in an order that does not depend on the machine."""
    directories = sorted({above for path in content for above in path.parents if above.parts})
    if directories:
        _mtools(wish.time, "mmd", "-i", image, *(f"::{path}" for path in directories))
    for number, above in enumerate([PurePosixPath(), *directories]):
        here = sorted(path for path in content if path.parent == above)
        if not here:
            continue
        folder = staging / str(number)
        folder.mkdir()
        for path in here:
            _stage(content[path], folder / path.name, wish.time)
        target = f"::{above}/" if above.parts else "::/"
        _mtools(wish.time, "mcopy", "-m", "-i", image, *(str(folder / path.name) for path in here), target)


def _stage(source: bytes | Path, target: Path, time: int) -> None:
    """Put a file where mcopy takes it from, with the time that it is to have."""
    try:
        target.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
    except OSError as e:
        raise RequestError(f"cannot read {e.filename or target}: {e.strerror}") from e
    os.utime(target, (max(time, EARLIEST),) * 2)


def _mtools(time: int, *command: str) -> bytes:
    try:
        return run(
            command,
            timeout=_TIMEOUT,
            variables={
                "MTOOLSRC": os.devnull,
                "MTOOLS_SKIP_CHECK": "1",
                "SOURCE_DATE_EPOCH": str(max(time, EARLIEST)),
            },
        ).stdout
    except ProgramError as e:
        if e.exit_status is not None and "full" in (e.hint or "").lower():
            raise RequestError(
                "cannot put all files into the boot partition: it is full",
                hint="make [boot-partition] size larger",
            ) from e
        raise


def read_fat(image: Path, start: int, path: str, *, limit: int) -> bytes | None:
    """Return a file of the FAT file system that begins at `start` of `image`; None if there is none.

    Raises:
        MachineError: mtools are missing, or the file is larger than `limit` bytes.
    """
    try:
        found = _mtools(EARLIEST, "mtype", "-i", f"{image}@@{start}", f"::{path}")
    except ProgramError as e:
        if e.exit_status is None:
            raise
        return None
    if len(found) > limit:
        raise MachineError(f"cannot read {path} in the boot partition: it has {len(found)} bytes")
    return found


def list_fat(image: Path, start: int, directory: str) -> list[str]:
    """Return the names in a directory of the FAT file system that begins at `start` of `image`; none if there is none.

    Raises:
        MachineError: mtools are missing.
    """
    try:
        said = _mtools(EARLIEST, "mdir", "-b", "-i", f"{image}@@{start}", f"::{directory}")
    except ProgramError as e:
        if e.exit_status is None:
            raise
        return []
    return sorted(line.rstrip("/").rpartition("/")[2] for line in said.decode("utf-8", "replace").splitlines() if line)


def take_fat(disk: BinaryIO, start: int, target: Path) -> dict[PurePosixPath, Path]:
    """Copy all files of the FAT file system that begins at `start` of the open disk; return path in it -> file.

    Raises:
        MachineError: mtools are missing, or it cannot be read.
    """
    target.mkdir()
    image = f"{open_path(disk)}@@{start}"
    if _mtools(EARLIEST, "mdir", "-b", "-a", "-i", image, "::/").strip():
        _mtools(EARLIEST, "mcopy", "-s", "-n", "-i", image, "::/*", str(target))
    found = {PurePosixPath(*path.relative_to(target).parts): path for path in target.rglob("*") if path.is_file()}
    return dict(sorted(found.items()))
