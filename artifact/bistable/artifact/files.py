"""The one door for files that must appear whole or not at all: write, fsync, rename, fsync both file and directory."""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from bistable.artifact.errors import MachineError
from bistable.artifact.limits import MIB

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NO_ANONYMOUS_FILES: Final = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}
"""What open(O_TMPFILE) says on a file system, or a kernel, that lacks it."""

KEPT_NAME_BYTES: Final = 200
"""How much of the target's name the hidden name shows; file systems allow 255 bytes in all."""

WRITE_OUT: Final = 8 * MIB
"""How much is written before the disk is made to start on it: large enough for any disk to be quick."""


class _Onward(io.FileIO):
    """A file that the disk takes up while it is being written, so that fsync has little left to wait for.

    Left alone, the kernel starts after seconds, and 220 MB that were written in a tenth of a second take another tenth
    to sync. `POSIX_FADV_DONTNEED` starts writing out; it drops what is clean, and nothing of this is yet.
    """

    _started = 0

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write what the system takes in one go, and return how much that was."""
        count = super().write(data)
        end = self.tell()
        if end - self._started >= WRITE_OUT:
            with suppress(OSError):
                os.posix_fadvise(self.fileno(), self._started, end - self._started, os.POSIX_FADV_DONTNEED)
            self._started = end
        return count


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file that becomes `path` when the block ends well, and leaves no trace when it does not.

    Where the file system allows it (O_TMPFILE) the file has no name until it is complete, so that not even a killed
    process leaves a part behind; elsewhere it has a hidden name beside `path`. A link stays a link: what it leads to is
    replaced. A device or pipe is not: a file in its place would be a surprise.

    It is synced before it gets its name, also if it replaces nothing: after a power cut there must be no file of that
    name with a part of the content. Why that is worth waiting for: docs/decisions/0011.

    Raises:
        MachineError: the file cannot be made, written or put in place.
    """
    real = _real_place(path)
    start = os.fsdecode(os.fsencode(real.name)[:KEPT_NAME_BYTES])
    hidden = real.with_name(f".{start}.{os.urandom(6).hex()}.part")
    try:
        with _open_unnamed(real.parent, hidden) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not hidden.exists():
                _give_name(file, hidden)
            _keep_mode(real, file)
            _rename(file, hidden, real)
    except OSError as e:
        raise MachineError(f"cannot write {path}: {e.strerror or e}") from e
    finally:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)


def rename(path: Path, new: Path) -> None:
    """Give a file another name in its directory, durably, in place of whatever has that name.

    Raises:
        OSError: it cannot be renamed or synced.
    """
    with path.open("rb") as file:
        _rename(file, path, new)


def _rename(file: BinaryIO, path: Path, new: Path) -> None:
    path.replace(new)
    # FAT gives the new name a size of 0, and the real one is written with the file, not with the directory.
    os.fsync(file.fileno())
    sync_directory(new.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable.

    Raises:
        OSError: it cannot be opened or synced.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _real_place(path: Path) -> Path:
    """Return where the file really is or will be."""
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.stat().st_mode):
                raise MachineError(f"cannot replace {path}: it is not a regular file")
        return path.resolve()
    except (OSError, RuntimeError) as e:
        raise MachineError(f"cannot write {path}: {getattr(e, 'strerror', None) or e}") from e


def write_all(out: BinaryIO, data: bytes | memoryview) -> None:
    """Write all of `data`; an unbuffered file or pipe may take it in parts."""
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


def _open_unnamed(directory: Path, fallback: Path) -> BinaryIO:
    try:
        return _Onward(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666), "w+")
    except OSError as e:
        if e.errno not in NO_ANONYMOUS_FILES or not directory.is_dir():
            raise
        return _Onward(fallback, "x+")


def _give_name(file: BinaryIO, path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Only with a directory descriptor does Python call linkat(2), which can follow the link in /proc.
        os.link(f"/proc/self/fd/{file.fileno()}", path.name, dst_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)


def _keep_mode(old: Path, new: BinaryIO) -> None:
    """A replaced file keeps its permissions."""
    with suppress(FileNotFoundError):
        os.fchmod(new.fileno(), old.stat().st_mode & 0o777)
