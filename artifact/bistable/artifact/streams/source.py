"""The one shape in which bytes come in: a pull source that gives what it has."""

from typing import Protocol


class Source(Protocol):
    """A stream of bytes; any binary file object, pipe or socket file is one."""

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or nothing at the end of the stream."""
        ...
