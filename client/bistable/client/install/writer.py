"""Write an image to a slot in large aligned pieces, while the next piece is still being decompressed."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bistable.client.errors import SlotError
from bistable.client.install.direct import UNIT, aligned, up
from bistable.client.install.medium import Medium, slot_error

BLOCK: Final = 512 * 1024
"""Large enough for full speed on flash, small enough for two of them beside everything else in 40 MB."""

LOOK: Final = 64 * 1024
"""Bytes that are compared in one step: what is compared with them costs that much memory, not a block."""

READ: Final = 256 * 1024
"""Bytes that are read in one step to be compared."""

ZERO_RUN: Final = 32 * BLOCK
"""Zeros in one request; a device without an own way to zero writes them all before it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How many bytes of an image were written, made zero without writing, or already there."""

    written: int
    zeroed: int
    identical: int


class SlotWriter:
    """Takes an image of exactly `size` bytes, as a context manager; only `finish` makes it complete and durable.

    With `skip_identical` each block is first compared with what the slot holds. `name` stands in errors. A thread of
    its own writes one block while the next one is filled.

    Raises:
        SlotError: from every call, when the slot cannot be written.
    """

    def __init__(self, medium: Medium, size: int, *, name: Path, skip_identical: bool) -> None:
        self._medium, self._size, self._name = medium, size, name
        self._compare = skip_identical and medium.comparable
        self._filling, self._other = aligned(BLOCK), aligned(BLOCK)
        self._filled = 0
        self._offset = 0
        self._held = aligned(READ)
        self._no_bytes, self._zeros = bytearray(LOOK), aligned(BLOCK)
        self._zero_start = self._zero_end = 0
        self._written = self._zeroed = self._identical = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="slot-writer")
        self._pending: Future[None] | None = None
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.shutdown(wait=True)
        self._medium.close()

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        rest = memoryview(data)
        if self._offset + self._filled + len(rest) > self._size:
            raise SlotError(f"cannot write {self._name}: the image has more than the {self._size} bytes announced")
        while rest:
            piece = rest[: BLOCK - self._filled]
            self._filling[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            rest = rest[len(piece) :]
            if self._filled == BLOCK:
                self._hand_over()

    def finish(self) -> Written:
        """Write what is left and return when all of it is on the storage."""
        if self._offset + self._filled != self._size:
            raise SlotError(
                f"cannot write {self._name}: the image ended after {self._offset + self._filled} of {self._size} bytes"
            )
        if self._filled:
            self._hand_over()
        self._settle()
        self._pending = self._worker.submit(self._complete)
        self._settle()
        return Written(written=self._written, zeroed=self._zeroed, identical=self._identical)

    def _hand_over(self) -> None:
        """Give the filled block to the thread, once it is through with the one before."""
        self._settle()
        self._pending = self._worker.submit(self._put, self._filling[: self._filled], self._offset)
        self._offset += self._filled
        self._filling, self._other = self._other, self._filling
        self._filled = 0

    def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except OSError as e:
            raise slot_error(f"write {self._name}", e) from e

    # --- in the thread

    def _put(self, block: memoryview, offset: int) -> None:
        if not self._begun:
            self._medium.begin(self._size)
            self._begun = True
        if self._compare and self._is_there(block, offset):
            self._identical += len(block)
        elif len(block) == BLOCK and self._is_empty(block):
            if self._zero_end != offset or self._zero_end - self._zero_start >= ZERO_RUN:
                self._put_zeros()
                self._zero_start = offset
            self._zero_end = offset + BLOCK
        else:
            # First what stands before: a UBI volume takes things in order.
            self._put_zeros()
            self._medium.write(block, offset)
            self._written += len(block)

    def _put_zeros(self) -> None:
        """Make the zeros that were seen last real."""
        start, length = self._zero_start, self._zero_end - self._zero_start
        self._zero_start = self._zero_end
        if not length:
            return
        if self._medium.zero(start, length):
            self._zeroed += length
            return
        for at in range(start, start + length, BLOCK):
            self._medium.write(self._zeros, at)
        self._written += length

    def _is_empty(self, block: memoryview) -> bool:
        # Two memoryviews are compared byte by byte; a bytearray on the left side makes it one memcmp.
        return all(self._no_bytes == block[at : at + LOOK] for at in range(0, BLOCK, LOOK))

    def _is_there(self, block: memoryview, offset: int) -> bool:
        # A block that differs mostly does so from its start on: then the rest of it need not be read.
        if not self._same(block[:UNIT], offset):
            return False
        return all(self._same(block[at : at + READ], offset + at) for at in range(0, len(block), READ))

    def _same(self, piece: memoryview, offset: int) -> bool:
        if self._medium.read(self._held[: up(len(piece))], offset) < len(piece):
            return False
        return all(
            bytearray(piece[at : at + LOOK]) == self._held[at : min(at + LOOK, len(piece))]
            for at in range(0, len(piece), LOOK)
        )

    def _complete(self) -> None:
        self._put_zeros()
        self._medium.flush()
