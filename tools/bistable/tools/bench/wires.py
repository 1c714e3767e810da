"""The wire to a device's serial console, as far as the console cares; and the one that most of them are."""

import os
import select
from typing import Final, Protocol

_CHUNK: Final = 4096


class Wire(Protocol):
    """A line on which bytes come and go."""

    def read(self, seconds: float) -> bytes | None:
        """Return what is there, or comes within so many seconds; None: nothing did; empty: the line has ended."""

    def write(self, data: bytes) -> None:
        """Send all of the bytes.

        Raises:
            OSError: the line has ended.
        """

    def close(self) -> None:
        """Give it back."""


class DescriptorWire:
    """A line that is an open descriptor of this process: a socket, or the other side of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def read(self, seconds: float) -> bytes | None:
        """Return what is there, or comes within so many seconds; None: nothing did; empty: the line has ended."""
        if not self._poll.poll(seconds * 1000):
            return None
        try:
            return os.read(self._descriptor, _CHUNK)
        except OSError:
            # What a terminal says when nobody has its other side any more, and a socket that was reset.
            return b""

    def write(self, data: bytes) -> None:
        """Send all of the bytes."""
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
