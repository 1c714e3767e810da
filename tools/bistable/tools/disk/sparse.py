"""Bytes on their way from file to file, with holes where there are only zeros."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import RequestError
from bistable.artifact.limits import KIB, MIB

PIECE: Final = 64 * KIB
"""Grain of the holes."""

CHUNK: Final = 4 * MIB
_ZEROS: Final = bytes(PIECE)

Progress = Callable[[int], object]
"""Gets the number of bytes that are done since it was last called."""


def ignore(_count: int) -> None:
    """Show no progress."""


def write_at(file: BinaryIO, position: int, data: bytes) -> None:
    """Write all of `data` at `position`."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file.fileno(), view, position)
        position += written
        view = view[written:]


def copy_into(source: Path, target: BinaryIO, position: int, *, on_progress: Progress = ignore) -> int:
    """Copy the file `source` into `target` at `position`, where there are only zeros so far; return its size.

    Raises:
        RequestError: it cannot be read.
        OSError: it cannot be written.
    """
    try:
        file = source.open("rb", buffering=0)
    except OSError as e:
        raise RequestError(f"cannot read {source}: {e.strerror}") from e
    with file:
        size = file.seek(0, os.SEEK_END)
        at = 0
        while at < size:
            start = _next_data(file, at, size)
            on_progress(start - at)
            chunk = os.pread(file.fileno(), min(CHUNK, size - start), start) if start < size else b""
            if start < size and not chunk:
                raise RequestError(f"cannot read {source}: it became shorter while it was read")
            write_pieces(target, position + start, chunk)
            on_progress(len(chunk))
            at = start + len(chunk)
        return size


def copy_part(source: BinaryIO, start: int, size: int, target: BinaryIO) -> None:
    """Copy `size` bytes of `source` from `start` on to the start of the empty file `target`; fewer if it ends there.

    Raises:
        OSError: it cannot be read or written.
    """
    at = start
    while at < start + size:
        at = _next_data(source, at, start + size)
        chunk = os.pread(source.fileno(), min(CHUNK, start + size - at), at)
        if not chunk:
            break
        write_pieces(target, at - start, chunk)
        at += len(chunk)
    target.truncate(size)


def _next_data(file: BinaryIO, at: int, size: int) -> int:
    try:
        return min(os.lseek(file.fileno(), at, os.SEEK_DATA), size)
    except OSError:  # nothing but a hole follows
        return size


def write_pieces(target: BinaryIO, position: int, chunk: bytes) -> None:
    """Write `chunk` at `position`, but for pieces of zeros: there are only zeros so far."""
    for start in range(0, len(chunk), PIECE):
        piece = chunk[start : start + PIECE]
        if piece != _ZEROS[: len(piece)]:
            write_at(target, position + start, piece)
