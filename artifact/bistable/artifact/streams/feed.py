"""The compressed bytes ahead of a decoder, and how many lie behind it."""

from typing import Final

from bistable.artifact.errors import RejectedError, Where
from bistable.artifact.limits import KIB
from bistable.artifact.streams.source import Source

READ_SIZE: Final = 256 * KIB


class Feed:
    """Cuts what a source gives into the pieces that a decoder wants. `member` is named in errors."""

    def __init__(self, source: Source, *, member: str) -> None:
        self.member = member
        self._source = source
        self._buffer = memoryview(b"")
        self._at = 0
        self._behind = 0
        self._ended = False

    @property
    def offset(self) -> int:
        """How many bytes were taken."""
        return self._behind - self._left

    @property
    def _left(self) -> int:
        return len(self._buffer) - self._at

    def some(self, limit: int) -> memoryview:
        """Take 1 to `limit` bytes, or none at the end."""
        if not self._left:
            self._read_more()
        piece = self._buffer[self._at : self._at + limit]
        self._at += len(piece)
        return piece

    def ahead(self, size: int) -> memoryview:
        """Return what comes next without taking it: `size` bytes or more, fewer only at the end."""
        while self._left < size and not self._ended:
            self._read_more()
        return self._buffer[self._at :]

    def give_back(self, count: int) -> None:
        """Undo the taking of the last `count` bytes that `some` returned."""
        self._at -= count

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes without taking them, fewer only at the end."""
        return self.ahead(size)[:size].tobytes()

    def take(self, size: int, what: str) -> bytes:
        """Take exactly `size` bytes, which are `what`.

        Raises:
            RejectedError: the stream ends before.
        """
        data = self.peek(size)
        if len(data) < size:
            raise self.truncated(what)
        self._at += size
        return data

    def where(self, offset: int) -> Where:
        """Return the place of the compressed byte `offset`."""
        return Where(member=self.member, offset=offset)

    def truncated(self, what: str) -> RejectedError:
        """Return the error for a stream that ends inside `what`."""
        return self.rejected("truncated", f"it ends inside {what}", self._behind)

    def rejected(self, rule: str, why: str, offset: int) -> RejectedError:
        """Return the error that says `why` this member, at `offset`, cannot be decompressed."""
        return RejectedError(
            f"cannot decompress {self.member}: {why}",
            hint="the artifact is damaged or was not made properly: fetch or build it again",
            where=self.where(offset),
            rule=f"compression.{rule}",
        )

    def _read_more(self) -> None:
        """Append to what is left; nothing comes after the source ended once."""
        data = b"" if self._ended else self._source.read(READ_SIZE)
        self._ended = not data
        self._behind += len(data)
        self._buffer = memoryview(self._buffer[self._at :].tobytes() + data if self._left else data)
        self._at = 0
