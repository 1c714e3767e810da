"""Where payload bytes come from: files (holes are skipped, not read), streams, or memory."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.limits import MIB
from bistable.artifact.streams.source import Source

CHUNK: Final = MIB
BUFFERS: Final = 4
"""How many chunks may be on their way at once: one is read while others are hashed and compressed."""

_ZEROS: Final = memoryview(bytes(CHUNK))


class OpenInput(Protocol):
    """An input that is open: its size in bytes, or None if only the end of the stream will tell."""

    @property
    def size(self) -> int | None:
        """Size in bytes, or None."""
        ...

    def chunks(self) -> Iterator[memoryview]:
        """Yield the content; a chunk stays valid until BUFFERS - 1 more were taken."""
        ...


class PayloadInput(Protocol):
    """A payload file to be written under `name`."""

    @property
    def name(self) -> str:
        """The file's name in the artifact."""
        ...

    def open(self) -> AbstractContextManager[OpenInput]:
        """Open it, once or many times; MachineError if it cannot be read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file, block device or pipe on this machine."""

    name: str
    path: Path

    @contextmanager
    def open(self) -> Iterator[OpenInput]:
        """Open the file."""
        # What goes wrong while the file is open may be the fault of whoever writes: it is not caught here.
        with ExitStack() as stack:
            try:
                opened = _OpenFile(stack.enter_context(self.path.open("rb", buffering=0)), self.path)
            except OSError as e:
                raise _unreadable(self.path, e) from e
            yield opened


@dataclass(frozen=True, slots=True, kw_only=True)
class InputStream:
    """A stream of unknown length that can be read once, such as standard input."""

    name: str
    source: Source

    @contextmanager
    def open(self) -> Iterator[OpenInput]:
        """Give the stream."""
        yield _OpenStream(self.source, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputBytes:
    """A small file that is in memory already."""

    name: str
    content: bytes

    @contextmanager
    def open(self) -> Iterator[OpenInput]:
        """Give the content."""
        yield _OpenBytes(self.content)


@dataclass(frozen=True, slots=True)
class _OpenBytes:
    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def chunks(self) -> Iterator[memoryview]:
        view = memoryview(self.content)
        for start in range(0, len(view), CHUNK):
            yield view[start : start + CHUNK]


@dataclass(frozen=True, slots=True)
class _OpenStream:
    source: Source
    origin: str | Path

    @property
    def size(self) -> None:
        return None

    def chunks(self) -> Iterator[memoryview]:
        try:
            while data := self.source.read(CHUNK):
                yield memoryview(data)
        except OSError as e:
            raise _unreadable(self.origin, e) from e


class _OpenFile:
    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise RequestError(f"cannot read {path}: it is a directory")
        self._seekable = stat.S_ISREG(mode) or stat.S_ISBLK(mode)
        self.size = os.lseek(file.fileno(), 0, os.SEEK_END) if self._seekable else None

    def chunks(self) -> Iterator[memoryview]:
        if self.size is None:
            yield from _OpenStream(self._file, self._path).chunks()
            return
        try:
            yield from self._stored_chunks(self.size)
        except OSError as e:
            raise _unreadable(self._path, e) from e

    def _stored_chunks(self, size: int) -> Iterator[memoryview]:
        buffers = [memoryview(bytearray(CHUNK)) for _ in range(min(BUFFERS, 1 + size // CHUNK))]
        turn = position = 0
        for start, end in _extents(self._file.fileno(), size):
            yield from _zeros(start - position)
            self._file.seek(start)
            position = start
            while position < end:
                buffer = buffers[turn % len(buffers)]
                turn += 1
                count = self._file.readinto(buffer[: min(CHUNK, end - position)])  # type: ignore[attr-defined]
                if not count:
                    raise MachineError(f"cannot read {self._path}: it became shorter while it was read")
                yield buffer[:count]
                position += count
        yield from _zeros(size - position)
        if os.lseek(self._file.fileno(), 0, os.SEEK_END) != size:
            raise MachineError(f"cannot read {self._path}: its size changed while it was read")


def _unreadable(origin: str | Path, error: OSError) -> MachineError:
    return MachineError(f"cannot read {origin}: {error.strerror or error}")


def _zeros(count: int) -> Iterator[memoryview]:
    while count > 0:
        yield _ZEROS[: min(CHUNK, count)]
        count -= CHUNK


def _extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of what is stored; the rest are holes, which read as zeros and cost no disk access."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as e:
            if e.errno == errno.ENXIO:  # only a hole is left
                return
            # A device or file system that knows no holes: all of it is data.
            yield end, size
            return
        yield start, min(end, size)
