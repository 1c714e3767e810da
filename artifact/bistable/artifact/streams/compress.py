"""Compress a stream in worker threads; the bytes depend on the content and the level only. FORMAT.md §7."""

from collections import deque
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from bistable.artifact import zstd
from bistable.artifact.limits import MIB
from bistable.artifact.model import Compression
from bistable.artifact.streams import deflate, lzma2
from bistable.artifact.streams.codec import Codec

if TYPE_CHECKING:
    from concurrent.futures import Future

Write: TypeAlias = Callable[[bytes | memoryview], object]

ZSTD_JOB_SIZE: Final = 2 * MIB
"""One worker's share; libzstd's own choice, 8 MiB at level 3, needs much more memory for little gain."""


class Compressor(Protocol):
    """Takes content, hands compressed bytes to the callable it was opened with, from the caller's thread."""

    def write(self, data: bytes | memoryview, /) -> None:
        """Take some content, of any length; `data` may be reused afterwards."""
        ...

    def finish(self) -> None:
        """Compress what is left, end the stream and let the worker threads go."""
        ...

    def close(self) -> None:
        """Let the worker threads go, finished or not; a stream that was not finished stays incomplete."""
        ...


def open_compressor(write: Write, codec: Codec) -> Compressor:
    """Return a compressor whose output goes to `write` piece by piece.

    Raises:
        MachineError: the library for this kind cannot do what is asked.
    """
    level, threads = codec.effective_level, codec.effective_threads
    match codec.kind:
        case Compression.NONE:
            return _Plain(write)
        case Compression.GZIP:
            return _Blocks(write, partial(deflate.gzip_member, level=level), deflate.BLOCK_SIZE, threads)
        case Compression.XZ:
            return _Blocks(write, partial(lzma2.xz_stream, preset=level), lzma2.block_size(level), threads)
        case Compression.ZSTD:
            return _Zstd(write, codec)


class _Plain:
    def __init__(self, write: Write) -> None:
        self._write = write

    def write(self, data: bytes | memoryview, /) -> None:
        self._write(data)

    def finish(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There are no threads."""


class _Zstd:
    """Always libzstd's threaded mode, even for one worker: its output depends on the job size, not on the workers."""

    def __init__(self, write: Write, codec: Codec) -> None:
        self._write = write
        self._encoder = zstd.encoder(
            level=codec.effective_level,
            threads=codec.effective_threads,
            job_size=ZSTD_JOB_SIZE,
            window_log=codec.long,
            long_distance=codec.long is not None,
        )

    def write(self, data: bytes | memoryview, /) -> None:
        self._emit(self._encoder.compress(data))

    def finish(self) -> None:
        self._emit(self._encoder.flush())

    def close(self) -> None:
        """The threads are libzstd's and end with the encoder."""

    def _emit(self, data: bytes) -> None:
        if data:
            self._write(data)


class _Blocks:
    """Cuts content into blocks of a fixed size, each of which becomes a stream of its own, and keeps their order."""

    def __init__(self, write: Write, encode: Callable[[bytearray], bytes], block_size: int, threads: int) -> None:
        from concurrent.futures import ThreadPoolExecutor  # 35 ms that reading need not spend

        self._write = write
        self._encode = encode
        self._block_size = block_size
        self._threads = threads
        self._block = bytearray()
        self._started = False
        self._waiting: deque[Future[bytes]] = deque()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compress")

    def write(self, data: bytes | memoryview, /) -> None:
        view = memoryview(data).cast("B")
        while view:
            room = self._block_size - len(self._block)
            self._block += view[:room]
            view = view[room:]
            if len(self._block) == self._block_size:
                self._submit()

    def finish(self) -> None:
        if self._block or not self._started:
            self._submit()
        while self._waiting:
            self._write(self._waiting.popleft().result())
        self.close()

    def _submit(self) -> None:
        self._started = True
        block, self._block = self._block, bytearray()
        self._waiting.append(self._pool.submit(_encode_block, self._encode, block, self._block_size))
        while self._waiting[0].done() or len(self._waiting) > self._threads:
            self._write(self._waiting.popleft().result())
            if not self._waiting:
                break

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _encode_block(encode: Callable[[bytearray], bytes], block: bytearray, size: int) -> bytes:
    if len(block) == size and block == bytes(size):
        return _zeros(encode, size)
    return encode(block)


@cache
def _zeros(encode: Callable[[bytearray], bytes], size: int) -> bytes:
    return encode(bytearray(size))
