"""What the tests of streams share: sources that give little at a time, and whole streams in one call."""

import shutil
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise, repeat
from typing import Final

import pytest

from bistable.artifact.model import Compression
from bistable.artifact.streams import Codec, open_compressor, open_decompressor

MEMBER: Final = "data/0000.tar"
COMPRESSED: Final = (Compression.GZIP, Compression.XZ, Compression.ZSTD)


class Chopped:
    """A source whose n-th read gives at most the n-th of `sizes` bytes, and from then on as many as the last."""

    def __init__(self, data: bytes, sizes: Sequence[int] = (1 << 30,)) -> None:
        self._data = data
        self._at = 0
        self._sizes = chain(sizes, repeat(sizes[-1]))

    def read(self, size: int, /) -> bytes:
        piece = self._data[self._at : self._at + min(size, next(self._sizes))]
        self._at += len(piece)
        return piece


def compressed(content: bytes, codec: Codec, cuts: Iterable[int] = ()) -> bytes:
    """Return `content` compressed, written in pieces that end at `cuts`."""
    out: list[bytes] = []
    compressor = open_compressor(lambda data: out.append(bytes(data)), codec)
    bounds = [0, *sorted(cuts), len(content)]
    for start, end in pairwise(bounds):
        compressor.write(memoryview(content)[start:end])
    compressor.finish()
    return b"".join(out)


def decompressed(data: bytes, kind: Compression, *, size: int = 1 << 20, sizes: Sequence[int] = (1 << 30,)) -> bytes:
    """Return the whole content, read `size` bytes at a time from a source that gives `sizes`."""
    stream = open_decompressor(Chopped(data, sizes), kind, member=MEMBER + kind.value)
    parts = []
    while part := stream.read(size):
        assert len(part) <= size
        parts.append(part)
    return b"".join(parts)


def tool_for(kind: Compression) -> str:
    """Return the command line tool for `kind`; skip the test where there is none."""
    if shutil.which(kind.label) is None:
        pytest.skip(f"the program {kind.label} is not installed")
    return kind.label
