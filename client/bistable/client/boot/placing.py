"""What a boot loader loads from a partition of its own: copied there from the slot to which it belongs.

systemd-boot, UEFI and the firmware of the Raspberry Pi read FAT and nothing else, so kernel and initial RAM disk cannot
stay in the slot. They are copied when the slot has been written and verified, and before the boot loader may boot it.
Until then the slot is forbidden, so nothing here can do harm to the other one, whose files are others.

Each file is written beside its place, flushed, and gets its name then; afterwards it is read back past the page cache.
What is already there is left alone, so that all this may be repeated. Old kernels are removed before new ones are
written, as there need not be room for both; what is given as bytes is small, and always whole: the old or the new.
"""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError
from bistable.client.errors import BootError, ClientError
from bistable.client.files import read_limited, replacing, sync_directory
from bistable.client.model import SlotName

CHUNK: Final = 1024 * 1024
LEFT_OVER: Final = ".*.part"
"""What `replacing` leaves behind where the power went while it wrote, on file systems without unnamed files."""

_MOST_LINKS: Final = 40
"""As the kernel has it: path_resolution(7)."""

_MOST_ARGUMENTS: Final = 4096
_SPARE: Final = 64 * 1024
"""For directories, and for what the files need beyond their size."""

log = getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Where kernel and initial RAM disk are in a slot."""

    image: Path
    initrd: Path | None = None


def inside(root: Path, path: Path) -> Path:
    """Return where `path` leads in the file system at `root`: links are followed as if it were `/`.

    Raises:
        BootError: it leads nowhere.
    """
    rest, found, links = list(reversed(path.parts[1:])), root, 0
    while rest:
        part = rest.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            found = found if found == root else found.parent
            continue
        step = found / part
        try:
            target = step.readlink() if stat.S_ISLNK(step.lstat().st_mode) else None
        except OSError as e:
            raise BootError(
                f"cannot find {path} in the new system: {e.strerror or e}",
                hint="build the image with it, or correct boot.kernel and boot.initrd in the configuration",
            ) from e
        if target is None:
            found = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise BootError(f"cannot find {path} in the new system: its links lead nowhere")
        if target.is_absolute():
            found = root
        rest += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return found


def kernel_files(root: Path, kernel: Kernel) -> dict[str, Path]:
    """Return what is to be copied under which name: `linux.efi` and `initrd.img`.

    Raises:
        BootError: the new system does not have it.
    """
    files = {"linux.efi": inside(root, kernel.image)}
    if kernel.initrd is not None:
        files["initrd.img"] = inside(root, kernel.initrd)
    return files


def slot_arguments(path: Path, slot: SlotName) -> str:
    """Return the kernel's arguments of a slot, which are kept in a file on the boot partition.

    Raises:
        BootError: they are not there, or do not name the slot.
    """
    try:
        words = read_limited(path, _MOST_ARGUMENTS).decode("utf-8", "surrogateescape").split()
    except (OSError, ClientError) as e:
        raise BootError(
            f"cannot read the kernel's arguments of slot {slot}: {path}: {getattr(e, 'strerror', None) or e}",
            hint=f"write them there once: root=... bistable.slot={slot} and what else the kernel needs",
        ) from e
    if f"bistable.slot={slot}" not in words:
        raise BootError(
            f"cannot use the kernel's arguments of slot {slot}: {path} does not say bistable.slot={slot}",
            hint="without it the new system would not know which slot it is",
        )
    return " ".join(words)


def place_files(files: Mapping[str, Path | bytes], directory: Path) -> None:
    """Have these files in the directory, and leave others in it alone; names may have folders before them.

    Raises:
        BootError: a file is missing or empty, there is no room, or a file cannot be written or read back.
    """
    sources = {directory / name: _Source(source) for name, source in files.items()}
    try:
        _clear_left_overs({path.parent for path in sources})
        changed = {path: source for path, source in sources.items() if not source.is_in(path)}
        _check_room(changed, directory)
        for path, source in changed.items():
            if source.is_large:
                path.unlink(missing_ok=True)
        for path, source in changed.items():
            _make_directories(path.parent)
            with replacing(path) as file:
                source.copy_to(file)
            if not source.is_in(path):
                raise BootError(
                    f"cannot trust {path}: it does not read as it was written",
                    hint="the storage fails: look at the kernel's log (dmesg)",
                )
            log.info("copied %s", path)
    except MachineError as e:
        raise BootError(f"cannot put the boot files of the new system into place: {e.what}", hint=_HINT) from e
    except OSError as e:
        raise BootError(
            f"cannot put the boot files of the new system into place: {e.filename or directory}: {e.strerror or e}",
            hint=_HINT,
        ) from e


def remove_file(path: Path) -> None:
    """Remove a file, durably, if it is there.

    Raises:
        BootError: it cannot be removed.
    """
    try:
        path.unlink()
        sync_directory(path.parent)
    except FileNotFoundError:
        return
    except OSError as e:
        raise BootError(f"cannot remove {path}: {e.strerror or e}", hint=_HINT) from e


def probe_directory(directory: Path) -> None:
    """Make a file that means nothing, read it back and remove it.

    Raises:
        BootError: that does not work.
    """
    path, data = directory / "bistable.probe", b"bistable\n"
    try:
        with replacing(path) as file:
            file.write(data)
        found = _Source(data).is_in(path)
        path.unlink()
        sync_directory(directory)
    except (MachineError, OSError) as e:
        raise BootError(f"cannot write to the boot partition: {e}", hint=_HINT) from e
    if not found:
        raise BootError(f"cannot trust {directory}: a file does not read as it was written")


_HINT: Final = "check that the boot partition is mounted for writing and has room"


class _Source:
    """What is copied: a file, or bytes."""

    def __init__(self, source: Path | bytes) -> None:
        self._source = source
        self.is_large = not isinstance(source, bytes)
        self.size = len(source) if isinstance(source, bytes) else _size_of_file(source)

    def chunks(self) -> Iterator[bytes]:
        if isinstance(self._source, bytes):
            yield self._source
            return
        with self._source.open("rb") as file:
            while data := file.read(CHUNK):
                yield data

    def copy_to(self, file: BinaryIO) -> None:
        file.writelines(self.chunks())

    def is_in(self, path: Path) -> bool:
        """Whether the file has this content on the storage."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                return all(file.read(len(data)) == data for data in self.chunks()) and not file.read(1)
        except FileNotFoundError:
            return False
        except OSError as e:
            if e.errno in {errno.EIO, errno.ENOTDIR}:
                return False
            raise


def _size_of_file(path: Path) -> int:
    try:
        found = path.stat()
    except OSError as e:
        raise BootError(f"cannot read {path} of the new system: {e.strerror or e}") from e
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        raise BootError(
            f"cannot use {path} of the new system: it is {'empty' if stat.S_ISREG(found.st_mode) else 'not a file'}",
            hint="build the image again",
        )
    return found.st_size


def _check_room(changed: Mapping[Path, _Source], directory: Path) -> None:
    """Refuse before anything is removed."""
    existing = next(path for path in (directory, *directory.parents) if path.is_dir())
    found = os.statvfs(existing)
    unit = found.f_frsize or 512
    needed = sum(-(-source.size // unit) * unit for source in changed.values()) + (_SPARE if changed else 0)
    free = found.f_bavail * unit + sum(path.stat().st_size for path in changed if path.is_file())
    if needed > free:
        raise BootError(
            f"cannot put the boot files of the new system into place: they need {needed} bytes, on the file system of "
            f"{existing} there are {free}",
            hint="make kernel and initial RAM disk smaller, or remove what else is there",
        )


def _clear_left_overs(directories: set[Path]) -> None:
    for directory in directories:
        for path in directory.glob(LEFT_OVER):
            path.unlink()


def _make_directories(directory: Path) -> None:
    if directory.is_dir():
        return
    _make_directories(directory.parent)
    directory.mkdir(exist_ok=True)
    sync_directory(directory.parent)
