"""Durable and bounded files: the one door for what must survive a power cut."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bistable.artifact.files import rename, replacing, sync_directory
from bistable.client.errors import ClientError

__all__ = ["make_directory", "open_locked", "read_limited", "rename", "replacing", "sync_directory"]


def read_limited(path: Path, limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes.

    Raises:
        OSError: it cannot be read.
        ClientError: it is larger.
    """
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ClientError(f"cannot read {path}: it has more than {limit} bytes")
    return data


def make_directory(path: Path) -> None:
    """Make a directory, and those above it, for this user only, so that it is still there after a power cut.

    Raises:
        OSError: it cannot be made.
    """
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)


@contextmanager
def open_locked(path: Path) -> Iterator[BinaryIO | None]:
    """Open (or make) a file and hold its lock inside the block; give None at once if another process holds it.

    The lock ends with the process, however it ends.

    Raises:
        OSError: it cannot be opened or made.
    """
    import fcntl

    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file
