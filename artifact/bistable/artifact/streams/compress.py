"""Compress a stream in worker threads; the bytes depend on the content and the level only. FORMAT.md §7."""

from collections import deque
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from bistable.artifact import zstd
from bistable.artifact.limits import KIB, MIB
from bistable.artifact.model import Compression
from bistable.artifact.streams import deflate, xz
from bistable.artifact.streams.codec import Codec

if TYPE_CHECKING:
    from concurrent.futures import Future

Write: TypeAlias = Callable[[bytes | memoryview], object]
Encode: TypeAlias = Callable[[bytearray, Event], bytes]
"""Makes a whole stream of a block; once the event is set the result is of no use, and the work may be cut short."""

ZSTD_LIGHT_LEVEL: Final = 4
"""Up to here zstd is kept to little memory: workers look at the content before theirs again, which is cheap here."""

ZSTD_LIGHT_JOB: Final = 2 * MIB
ZSTD_LIGHT_OVERLAP: Final = 7
"""A worker sees a quarter of a window of the content before its own: libzstd halves for each step down from 9."""

ZSTD_PIECE: Final = 64 * KIB
"""Content of one call. What the workers have ready comes back from one call in one piece: with random data a process
takes 93 MiB if it gives 256 KiB, and 70 if it gives these."""


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
            return _Blocks(write, lambda block, _: deflate.gzip_member(block, level=level), deflate.BLOCK_SIZE, threads)
        case Compression.XZ:
            return _Blocks(
                write, lambda block, stop: xz.xz_stream(block, stop, preset=level), xz.block_size(level), threads
            )
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
        light = codec.effective_level <= ZSTD_LIGHT_LEVEL and codec.long is None
        self._encoder = zstd.encoder(
            zstd.Settings(
                level=codec.effective_level,
                threads=codec.effective_threads,
                job_size=ZSTD_LIGHT_JOB if light else 0,
                overlap_log=ZSTD_LIGHT_OVERLAP if light else 0,
                window_log=codec.long,
            )
        )

    def write(self, data: bytes | memoryview, /) -> None:
        view = memoryview(data).cast("B")
        # Not even one call for no content: libzstd would then leave the size out of an empty frame's header.
        for start in range(0, len(view), ZSTD_PIECE):
            self._emit(self._encoder.compress(view[start : start + ZSTD_PIECE]))

    def finish(self) -> None:
        self._emit(self._encoder.flush())

    def close(self) -> None:
        """The threads are libzstd's and end with the encoder."""

    def _emit(self, data: bytes) -> None:
        if data:
            self._write(data)


class _Blocks:
    """Cuts content into blocks of a fixed size, each of which becomes a stream of its own, and keeps their order.

    At most `threads` blocks wait for their turn while one is filled.
    """

    def __init__(self, write: Write, encode: Encode, block_size: int, threads: int) -> None:
        from concurrent.futures import ThreadPoolExecutor  # 35 ms that reading need not spend

        self._write = write
        self._encode = encode
        self._threads = threads
        self._block = bytearray()
        self._zeros = bytes(block_size)
        self._encoded_zeros: bytes | None = None
        self._empty = True
        self._stop = Event()
        self._waiting: deque[Future[bytes]] = deque()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compress")

    def write(self, data: bytes | memoryview, /) -> None:
        view = memoryview(data).cast("B")
        while view:
            room = len(self._zeros) - len(self._block)
            self._block += view[:room]
            view = view[room:]
            if len(self._block) == len(self._zeros):
                self._submit()

    def finish(self) -> None:
        if self._block or self._empty:
            self._submit()
        while self._waiting:
            self._write(self._waiting.popleft().result())
        self.close()

    def close(self) -> None:
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self) -> None:
        self._waiting.append(self._pool.submit(self._encode_block, self._block))
        self._block = bytearray()
        self._empty = False
        while self._waiting and (len(self._waiting) > self._threads or self._waiting[0].done()):
            self._write(self._waiting.popleft().result())

    def _encode_block(self, block: bytearray) -> bytes:
        """Encode in a worker; free space of an image, blocks of zeros, is encoded once."""
        if block != self._zeros:
            return self._encode(block, self._stop)
        if self._encoded_zeros is None:
            self._encoded_zeros = self._encode(block, self._stop)
        return self._encoded_zeros
