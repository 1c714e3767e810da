"""The data member: a tar of the payload files, compressed while it is hashed. FORMAT.md §6, §7, §12."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import BinaryIO, Final, TypeAlias

from bistable.artifact.errors import MachineError
from bistable.artifact.files import write_all
from bistable.artifact.model import Compression, PayloadFile
from bistable.artifact.streams import Codec, Compressor, open_compressor, stored
from bistable.artifact.tar import END, encode_header, padding
from bistable.artifact.writer.inputs import BUFFERS, OpenInput, PayloadInput

FILE_MODE: Final = 0o644
Progress: TypeAlias = Callable[[int], None]
"""Called with the number of payload bytes that were just taken."""


class DataWriter:
    """Writes the data member's body at the place where `out` stands; `out` must be seekable.

    The tar header of a file whose size is not known beforehand is stored uncompressed in a frame of its own, of a
    length that does not depend on the size, and filled in when the file ended.
    """

    def __init__(self, out: BinaryIO, codec: Codec, *, mtime: int, on_progress: Progress) -> None:
        self._out = out
        self._codec = codec
        self._mtime = mtime
        self._on_progress = on_progress
        self._start = out.tell()
        self._compressor: Compressor | None = None
        self._threads = ExitStack()
        self._hashing = self._threads.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256"))

    def add(self, item: PayloadInput, *, size_follows: bool = False) -> PayloadFile:
        """Write one file and return its size and digest.

        With `size_follows` the size is filled in afterwards even if it is known now, so that the same content gives the
        same bytes from a file and from a pipe.

        Raises:
            MachineError: the file cannot be read, or changed while it was read.
        """
        with item.open() as content:
            if content.size is None or size_follows:
                return self._add_patched(item.name, content)
            self._stream().write(encode_header(item.name, content.size, mode=FILE_MODE, mtime=self._mtime))
            file = self._copy(item.name, content)
            if file.size != content.size:
                raise MachineError(f"cannot read {item.name}: its size changed while it was read")
            self._stream().write(padding(file.size))
            return file

    def finish(self) -> int:
        """End the archive and return the member's stored size in bytes."""
        self._stream().write(END)
        self._end_stream()
        return self._out.tell() - self._start

    def close(self) -> None:
        """Stop the threads, finished or not."""
        self._threads.close()

    def _add_patched(self, name: str, content: OpenInput) -> PayloadFile:
        self._end_stream()
        place = self._out.tell()
        write_all(self._out, self._stored_header(name, 0))
        file = self._copy(name, content)
        self._stream().write(padding(file.size))
        if self._codec.kind is Compression.NONE:
            end = self._out.tell()
        else:
            self._end_stream()
            end = self._out.tell()
        self._out.seek(place)
        write_all(self._out, self._stored_header(name, file.size))
        self._out.seek(end)
        return file

    def _stored_header(self, name: str, size: int) -> bytes:
        return stored(self._codec.kind, encode_header(name, size, mode=FILE_MODE, mtime=self._mtime))

    def _copy(self, name: str, content: OpenInput) -> PayloadFile:
        """Compress in this thread (and the compressor's), hash in another."""
        digest = hashlib.sha256()
        size = 0
        stream = self._stream()
        pending: deque[Future[None]] = deque()
        for chunk in content.chunks():
            pending.append(self._hashing.submit(digest.update, chunk))
            stream.write(chunk)
            size += len(chunk)
            self._on_progress(len(chunk))
            if len(pending) >= BUFFERS - 1:
                pending.popleft().result()
        for future in pending:
            future.result()
        return PayloadFile(name=name, size=size, digest=digest.hexdigest())

    def _stream(self) -> Compressor:
        if self._compressor is None:
            self._compressor = open_compressor(partial(write_all, self._out), self._codec)
            self._threads.callback(self._compressor.close)
        return self._compressor

    def _end_stream(self) -> None:
        if self._compressor is not None:
            self._compressor.finish()
            self._compressor = None


@contextmanager
def data_writer(out: BinaryIO, codec: Codec, *, mtime: int, on_progress: Progress) -> Iterator[DataWriter]:
    """Give a DataWriter whose threads end with the block."""
    writer = DataWriter(out, codec, mtime=mtime, on_progress=on_progress)
    try:
        yield writer
    finally:
        writer.close()
