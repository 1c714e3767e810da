"""Zstandard from the standard library (Python 3.14 and later) or else from the package `zstandard`."""

import importlib
from typing import Any, Final, Protocol

from bistable.artifact.errors import MachineError

STANDARD_LIBRARY: Final = "compression.zstd"


class Encoder(Protocol):
    """One frame in the making."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        """Take `data` and return the compressed bytes that are ready, perhaps none."""
        ...

    def flush(self) -> bytes:
        """End the frame and return the rest of it."""
        ...


class Decoder(Protocol):
    """One frame on its way back; it is done when `eof` is true."""

    @property
    def eof(self) -> bool:
        """Whether the frame was complete and, if it has a checksum, sound."""
        ...

    def decompress(self, data: bytes, /) -> bytes:
        """Return everything that `data` adds."""
        ...


def encoder(*, level: int, threads: int, job_size: int, overlap_log: int, window_log: int | None) -> Encoder:
    """Make the encoder of one frame with a checksum; `job_size` bytes are the share of one of `threads` workers.

    Zero for `job_size` and `overlap_log` means libzstd's choice. With `window_log`, repetitions are found over that
    distance too.

    Raises:
        MachineError: this Python's zstd cannot work with threads.
    """
    library = _library()
    if library.__name__ == STANDARD_LIBRARY:
        return _standard_encoder(library, level, threads, job_size, overlap_log, window_log)
    far = {} if window_log is None else {"window_log": window_log, "enable_ldm": True}
    parameters = library.ZstdCompressionParameters.from_level(
        level, threads=threads, job_size=job_size, overlap_log=overlap_log, write_checksum=True, **far
    )
    made: Encoder = library.ZstdCompressor(compression_params=parameters).compressobj()
    return made


class DecoderFactory:
    """Makes the decoders of the frames of one stream, whose windows are at most `1 << window_log` bytes."""

    def __init__(self, *, window_log: int) -> None:
        self._library = _library()
        self._window_log = window_log
        # zstandard keeps its tables and window from frame to frame.
        self._context = (
            None
            if self._library.__name__ == STANDARD_LIBRARY
            else self._library.ZstdDecompressor(max_window_size=1 << window_log)
        )

    @property
    def error(self) -> type[Exception]:
        """The exception that a decoder raises on damaged data."""
        found: type[Exception] = self._library.ZstdError
        return found

    def decoder(self) -> Decoder:
        """Return the decoder of the next frame."""
        made: Decoder
        if self._context is not None:
            made = self._context.decompressobj()
        else:
            option = self._library.DecompressionParameter.window_log_max
            made = self._library.ZstdDecompressor(options={option: self._window_log})
        return made


def _standard_encoder(
    library: Any, level: int, threads: int, job_size: int, overlap_log: int, window_log: int | None
) -> Encoder:
    names = library.CompressionParameter
    if names.nb_workers.bounds()[1] < threads:
        raise MachineError(
            f"cannot compress with zstd in {threads} threads: this Python's libzstd was built without them",
            hint="install a Python whose compression.zstd has threads, or choose gzip",
        )
    options = {
        names.compression_level: level,
        names.nb_workers: threads,
        names.job_size: job_size,
        names.overlap_log: overlap_log,
        names.checksum_flag: 1,
    }
    if window_log is not None:
        options |= {names.window_log: window_log, names.enable_long_distance_matching: 1}
    made: Encoder = library.ZstdCompressor(options=options)
    return made


def _library() -> Any:
    """Return the module; both lack usable type stubs for what is needed here, so nothing untyped leaves this file."""
    try:
        return importlib.import_module(STANDARD_LIBRARY)
    except ImportError:
        return importlib.import_module("zstandard")
