"""Decompress a member as a stream, strictly. FORMAT.md §7."""

from collections.abc import Callable, Mapping
from typing import Final

from bistable.artifact.errors import RejectedError
from bistable.artifact.limits import KIB
from bistable.artifact.model import Compression
from bistable.artifact.streams import gunzip, unxz, unzstd
from bistable.artifact.streams.feed import Feed
from bistable.artifact.streams.source import Source

CONTENT_SIZE: Final = 512 * KIB
"""The most that comes at once: what the blocks of zstd become that are decoded together."""

SNIFFED: Final = 6
"""Bytes of the longest magic number."""

MAGICS: Final[Mapping[Compression, tuple[bytes, ...]]] = {
    Compression.GZIP: (gunzip.MAGIC,),
    Compression.XZ: (unxz.MAGIC,),
    Compression.ZSTD: (unzstd.MAGIC, *unzstd.SKIPPABLE_MAGICS),
}

NOT_TAKEN: Final[Mapping[bytes, str]] = {
    b"\x5d\x00\x00": "lzma in its old form, without a container",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
}
"""What people try and no reader takes."""


def open_decompressor(source: Source, kind: Compression, *, member: str) -> Source:
    """Return the content of `source`, which must be wholly of `kind`; `member` is named in errors.

    Its `read` returns at most as much as asked and holds a bounded amount, whatever the stream says. Content may be
    believed only when `read` has returned nothing, at the end: only then were all checks made and nothing followed.
    Errors come from `read`: `RejectedError` for a stream that is damaged, cut off, of another kind or followed by
    something; `LimitError` for one that needs too much memory.
    """
    return _Checked(Feed(source, member=member), kind)


class _Plain:
    """Content that is not compressed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def read(self, size: int, /) -> bytes:
        piece = self._feed.some(size)
        whole = piece.obj
        # What nearly always happens: what the source gave is handed on as it is.
        return whole if isinstance(whole, bytes) and len(whole) == len(piece) else piece.tobytes()


READERS: Final[Mapping[Compression, Callable[[Feed], Source]]] = {
    Compression.NONE: _Plain,
    Compression.GZIP: gunzip.Gunzip,
    Compression.XZ: unxz.Unxz,
    Compression.ZSTD: unzstd.Unzstd,
}


class _Checked:
    """Looks at the first bytes when they are first asked for, then reads on as the kind needs.

    What was refused once stays refused, so that nobody can read on past the damage.
    """

    def __init__(self, feed: Feed, kind: Compression) -> None:
        self._feed = feed
        self._kind = kind
        self._content: Source | None = None
        self._refusal: RejectedError | None = None

    def read(self, size: int, /) -> bytes:
        if size < 1:
            raise ValueError(f"size is {size}, it must be at least 1")
        if self._refusal is not None:
            raise self._refusal
        try:
            if self._content is None:
                self._check_kind()
                self._content = READERS[self._kind](self._feed)
            return self._content.read(min(size, CONTENT_SIZE))
        except RejectedError as e:
            self._refusal = e
            raise

    def _check_kind(self) -> None:
        """The name and the content must agree: some readers go by the one, some by the other."""
        feed, kind = self._feed, self._kind
        start = feed.peek(SNIFFED)
        found = _kind_of(start)
        if found is kind:
            return
        if not start:
            raise feed.rejected("truncated", f"it is empty, not {kind.label}", 0)
        if kind is not Compression.NONE and any(magic.startswith(start) for magic in MAGICS[kind]):
            raise feed.truncated(f"the {kind.label} header")
        content = found.label if found is not Compression.NONE else _other(start)
        raise feed.rejected("mismatch", f"by its name it is {_named(kind)}, but its content is {content}", 0)


def _kind_of(start: bytes) -> Compression:
    for kind, magics in MAGICS.items():
        if start.startswith(magics):
            return kind
    return Compression.NONE


def _named(kind: Compression) -> str:
    return "not compressed" if kind is Compression.NONE else kind.label


def _other(start: bytes) -> str:
    return next((name for magic, name in NOT_TAKEN.items() if start.startswith(magic)), "something else")
