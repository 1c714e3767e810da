"""A disk with a volatile write cache, whose power can be cut at exactly the write that a test names.

QEMU gets it as an NBD server on a unix socket. What the machine wrote and did not flush is in memory only; when the
power goes, a seeded part of it reaches the file (`bistable.qemu.crash.surviving`), and the machine is killed.
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Self

from bistable.artifact.errors import BistableError, MachineError, RequestError
from bistable.qemu.crash import SECTOR, Written, surviving
from bistable.qemu.nbd import DroppedError, serve

END_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCut:
    """When the power goes: at the `write`-th write from the start, counted from 1, which is not complete then."""

    write: int
    seed: int
    unit: int = SECTOR
    """The size of the pieces in which torn writes survive; 0: none is torn."""


class VolatileDisk:
    """The disk in the file `image`, served on `address`; a context manager. Counts are of one run of the server.

    Raises:
        MachineError: the file or the socket cannot be used.
    """

    def __init__(self, image: Path, address: Path) -> None:
        self.image, self.address = image, address
        self.writes = 0
        self.flushes = 0
        self.size = 0
        self.was_cut = threading.Event()
        """Set when the power is gone, and the file holds what survived."""
        self._plan: PlannedCut | None = None
        self._kill: Callable[[], None] = lambda: None
        self._pending: list[Written] = []
        self._sectors: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._trouble: BistableError | OSError | None = None

    def __enter__(self) -> Self:
        try:
            self.size = self.image.stat().st_size
            if self.size % SECTOR:
                raise RequestError(f"cannot serve {self.image}: its size is not a multiple of {SECTOR} bytes")
            self._file = self.image.open("r+b", buffering=0)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.address))
            self._listener.listen(1)
        except OSError as e:
            raise MachineError(f"cannot serve {self.image} on {self.address}: {e.strerror or e}") from e
        self._thread = threading.Thread(target=self._run, name="volatile disk", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Shutting down wakes up whoever waits in accept() or recv(); closing would not.
        for end in (self._listener, self._connection):
            if end is not None:
                _shut(end)
        self._thread.join(END_SECONDS)
        self._listener.close()
        with self._lock:
            if not self.was_cut.is_set():
                self._settle(self._pending)
        self._file.close()
        self.address.unlink(missing_ok=True)
        if self._trouble is not None:
            raise MachineError(f"cannot serve {self.image}: {self._trouble}") from self._trouble

    def plan(self, cut: PlannedCut, kill: Callable[[], None]) -> None:
        """Cut the power as planned; `kill` ends the machine, from another thread, before anything reaches the file.

        Raises:
            RequestError: that write is past.
        """
        with self._lock:
            if cut.write <= self.writes:
                raise RequestError(f"cannot cut at write {cut.write}: there were {self.writes} already")
            self._plan, self._kill = cut, kill

    def read(self, start: int, length: int) -> bytes:
        """Return what is there, for the machine: cached or not."""
        with self._lock:
            found = bytearray(self._medium(start, length))
            for index in range(start // SECTOR, (start + length) // SECTOR):
                if (sector := self._sectors.get(index)) is not None:
                    found[index * SECTOR - start : (index + 1) * SECTOR - start] = sector
            return bytes(found)

    def write(self, start: int, data: bytes, *, durable: bool) -> None:
        """Take a write into the cache; a durable one may stay there as well, but is not lost."""
        with self._lock:
            self._take(Written(start=start, data=data, durable=durable))

    def flush(self) -> None:
        """Bring all that is cached to the file."""
        with self._lock:
            self._drop_if_cut()
            self.flushes += 1
            self._settle(self._pending)

    def _take(self, written: Written) -> None:
        self._drop_if_cut()
        self.writes += 1
        if self._plan is not None and self.writes == self._plan.write:
            # Not complete when the power went: nobody was told that it is durable.
            self._pending.append(Written(start=written.start, data=written.data))
            self._cut(self._plan)
        self._pending.append(written)
        for at in range(0, len(written.data), SECTOR):
            self._sectors[(written.start + at) // SECTOR] = written.data[at : at + SECTOR]

    def _cut(self, plan: PlannedCut) -> None:
        self._kill()
        self._settle([*surviving(self._pending, Random(f"write {plan.write} seed {plan.seed}"), plan.unit)])
        self.was_cut.set()
        raise DroppedError

    def _drop_if_cut(self) -> None:
        if self.was_cut.is_set():
            raise DroppedError

    def _settle(self, writes: list[Written]) -> None:
        for written in writes:
            self._file.seek(written.start)
            view = memoryview(written.data)
            while view:
                view = view[self._file.write(view) :]
        self._pending.clear()
        self._sectors.clear()

    def _medium(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        parts = bytearray()
        while len(parts) < length:
            if not (part := self._file.read(length - len(parts))):
                raise MachineError(f"cannot read {self.image}: it became shorter")
            parts += part
        return bytes(parts)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._connection = connection
                try:
                    serve(connection, self)
                except (BistableError, OSError) as e:
                    self._trouble = e
            self._connection = None


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        # It is closed, or was never connected.
        return
