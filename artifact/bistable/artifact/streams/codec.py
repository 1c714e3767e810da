"""What a member is to be compressed with: kind, level, threads, window; and the text form people write it in."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.limits import WINDOW_LOG
from bistable.artifact.model import Compression

MAX_THREADS: Final = 64
MIN_LONG: Final = 10

LEVELS: Final[Mapping[Compression, range]] = {
    Compression.GZIP: range(1, 10),
    Compression.XZ: range(10),  # preset 9 has a dictionary of 64 MiB, the most a writer may ask of a device
    Compression.ZSTD: range(1, 23),  # level 22 has a window of 128 MiB, the most a device client takes
}
DEFAULT_LEVELS: Final[Mapping[Compression, int]] = {Compression.GZIP: 2, Compression.XZ: 3, Compression.ZSTD: 3}

DEFAULT_THREADS: Final[Mapping[Compression, int]] = {Compression.GZIP: 8, Compression.XZ: 8, Compression.ZSTD: 4}
"""The most threads taken without being asked: beyond these, memory grows and hashing is the slower part."""

NAMES: Final[Mapping[str, tuple[Compression, int | None]]] = {
    "none": (Compression.NONE, None),
    "gzip": (Compression.GZIP, None),
    "xz": (Compression.XZ, None),
    "lzma": (Compression.XZ, None),
    "zstd": (Compression.ZSTD, None),
    "zstd_fastest": (Compression.ZSTD, 1),
    "zstd_fast": (Compression.ZSTD, 3),
    "zstd_better": (Compression.ZSTD, 7),
    "zstd_best": (Compression.ZSTD, 11),
}
"""The kinds by name; `lzma` and `zstd_*` are what mender-artifact calls them."""

VALID_FORMS: Final = (
    "use none, gzip, xz (or lzma) or zstd, with a level and options after a colon: gzip:1 to gzip:9, xz:0 to xz:9, "
    f"zstd:1 to zstd:22, threads=1 to {MAX_THREADS}, and for zstd long={MIN_LONG} to {WINDOW_LOG}; "
    "for example zstd:9,threads=2,long=27"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """How to compress. `long`: find repetitions within `1 << long` bytes (zstd only). None: the kind's default.

    Raises:
        RequestError: a value is out of range, or an option is not for this kind.
    """

    kind: Compression = Compression.ZSTD
    level: int | None = None
    threads: int | None = None
    long: int | None = None

    def __post_init__(self) -> None:
        if self.level is not None:
            self._check("level", self.level, LEVELS.get(self.kind))
        if self.threads is not None:
            self._check("threads", self.threads, range(1, MAX_THREADS + 1) if self.kind in LEVELS else None)
        if self.long is not None:
            self._check("long", self.long, range(MIN_LONG, WINDOW_LOG + 1) if self.kind is Compression.ZSTD else None)

    def _check(self, what: str, value: int, allowed: range | None) -> None:
        if allowed is None:
            raise RequestError(f"cannot compress with {self.kind.label}: it has no {what}", hint=VALID_FORMS)
        if value not in allowed:
            raise RequestError(
                f"cannot compress with {self.kind.label}: {what} {value} is not within {allowed[0]} to {allowed[-1]}",
                hint=VALID_FORMS,
            )

    @classmethod
    def parse(cls, text: str) -> "Codec":
        """Read `kind[:level][,threads=N][,long=N]`, for example `zstd:9,threads=2`.

        Raises:
            RequestError: not of that form, or a value is out of range.
        """
        name, colon, rest = text.partition(":")
        if name not in NAMES:
            raise RequestError(f"cannot use compression {text!r}: unknown", hint=VALID_FORMS)
        kind, level = NAMES[name]
        values: dict[str, int] = {} if level is None else {"level": level}
        for part in rest.split(",") if colon else []:
            match = re.fullmatch(r"(?:(threads|long)=)?([0-9]{1,3})", part, re.ASCII)
            if match is None:
                raise RequestError(f"cannot use compression {text!r}: {part!r} makes no sense", hint=VALID_FORMS)
            key = match[1] or "level"
            if key in values:
                raise RequestError(f"cannot use compression {text!r}: {key} is given twice", hint=VALID_FORMS)
            values[key] = int(match[2])
        return cls(kind=kind, **values)

    @property
    def effective_level(self) -> int:
        """The level that is used; 0 for `none`."""
        return DEFAULT_LEVELS.get(self.kind, 0) if self.level is None else self.level

    @property
    def effective_threads(self) -> int:
        """The number of worker threads that is used; the output does not depend on it."""
        if self.threads is not None:
            return self.threads
        return min(len(os.sched_getaffinity(0)), DEFAULT_THREADS.get(self.kind, 1))
