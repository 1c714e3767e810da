"""Zstandard from the standard library (Python 3.14 and later) or else from the package `zstandard`.

The same libzstd gives the same bytes through both.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

from bistable.artifact.errors import MachineError


class Encoder(Protocol):
    """One frame in the making."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        """Take `data` and return the compressed bytes that are ready, perhaps none."""
        ...

    def flush(self) -> bytes:
        """End the frame and return the rest of it."""
        ...


class Decoder(Protocol):
    """One frame on its way back."""

    @property
    def eof(self) -> bool:
        """Whether the frame is complete and, if it has a checksum, sound."""
        ...

    def decompress(self, data: bytes | memoryview, /) -> bytes:
        """Return everything that `data` adds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to compress: level, number of workers (at least 1), bytes of content per worker, what a worker sees before.

    Zero for `job_size` and `overlap_log` leaves them to libzstd. With `window_log`, repetitions are also looked for
    over that distance, `1 << window_log` bytes.
    """

    level: int
    threads: int
    job_size: int = 0
    overlap_log: int = 0
    window_log: int | None = None


def encoder(settings: Settings) -> Encoder:
    """Make the encoder of one frame with a checksum.

    Raises:
        MachineError: this Python's zstd cannot work with threads.
    """
    standard = _standard_library()
    return _zstandard_encoder(settings) if standard is None else _standard_encoder(standard, settings)


class DecoderFactory:
    """Makes the decoders of the frames of one stream, whose windows are at most `1 << window_log` bytes.

    `error` is what a decoder raises on damaged data.
    """

    def __init__(self, *, window_log: int) -> None:
        standard = _standard_library()
        self.error: type[Exception]
        self._make: Any
        if standard is None:
            import zstandard

            self.error = zstandard.ZstdError
            # One context for all frames keeps its window and tables.
            self._make = zstandard.ZstdDecompressor(max_window_size=1 << window_log).decompressobj
        else:
            options = {standard.DecompressionParameter.window_log_max: window_log}
            self.error = standard.ZstdError
            self._make = lambda: standard.ZstdDecompressor(options=options)

    def decoder(self) -> Decoder:
        """Return the decoder of the next frame."""
        made: Decoder = self._make()
        return made


def _standard_library() -> Any:
    """Return `compression.zstd` or None."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return None


def _zstandard_encoder(settings: Settings) -> Encoder:
    import zstandard

    far = {} if settings.window_log is None else {"window_log": settings.window_log, "enable_ldm": 1}
    parameters = zstandard.ZstdCompressionParameters.from_level(
        settings.level,
        threads=settings.threads,
        job_size=settings.job_size,
        overlap_log=settings.overlap_log,
        write_checksum=1,
        **far,
    )
    untyped: Any = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    made: Encoder = untyped
    return made


def _standard_encoder(library: Any, settings: Settings) -> Encoder:
    names = library.CompressionParameter
    if names.nb_workers.bounds()[1] < settings.threads:
        raise MachineError(
            f"cannot compress with zstd in {settings.threads} threads: this Python's libzstd was built without them",
            hint="use a Python whose compression.zstd has threads, or compress with gzip or xz",
        )
    options = {
        names.compression_level: settings.level,
        names.nb_workers: settings.threads,
        names.job_size: settings.job_size,
        names.overlap_log: settings.overlap_log,
        names.checksum_flag: 1,
    }
    if settings.window_log is not None:
        options |= {names.window_log: settings.window_log, names.enable_long_distance_matching: 1}
    made: Encoder = library.ZstdCompressor(options=options)
    return made
