"""The Download call: hands the payload files to a module through FIFOs, or stores them if it does not ask for them.

Nothing in here waits for ever: FIFOs are opened and written without blocking, and between the tries the module is
looked at. A module that ends, or is late, or leaves the order of the protocol ends the download.
"""

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NoReturn

from bistable.artifact.reader import IncomingFile
from bistable.client.errors import ModuleError
from bistable.client.modules.call import RunningCall
from bistable.client.modules.tree import STREAM_NEXT, STREAMS, ModuleTree, check_payload_name

TICK: Final = 0.1
"""Seconds between looks at a module that does not do anything for a while."""

_SHORTEST_REST: Final = 0.001
"""Seconds between the first looks: most modules open a FIFO at once."""

PATIENCE: Final = 60.0
"""Seconds after which a module that has not opened a stream is asked whether it waits for the next one, and as many
again until it has waited too long: files are to be taken one after the other, so it would wait for ever."""


class Download:
    """One Download call: `call` is what runs, `check` is called again and again and may raise to end it."""

    def __init__(
        self, call: RunningCall, tree: ModuleTree, *, with_sizes: bool, check: Callable[[], None], patience: float
    ) -> None:
        self._call, self._tree, self._with_sizes = call, tree, with_sizes
        self._check, self._patience = check, patience
        self._streaming = False
        self._rest = _SHORTEST_REST
        self._next: int | None = None
        """The write end of stream-next, if the module has opened it already."""

    def run(self, files: Iterable[IncomingFile]) -> None:
        """Hand over all `files`, each checked against its digest before the module can see its end.

        Raises:
            ModuleError: the module failed, or broke the protocol.
            RejectedError: a file is not what the manifest says.
        """
        try:
            stored = False
            for file in files:
                check_payload_name(file.name)
                stored = stored or not self._module_asks()
                if stored:
                    self._store(file)
                else:
                    self._stream(file)
            if not stored:
                self._end()
        except BaseException:
            self._call.end_group()
            raise
        finally:
            self._close_next()
        self._tree.close_streams()
        if not self._streaming:
            self._tree.make_files()

    def _module_asks(self) -> bool:
        """Wait until the module opens stream-next; return False if it ended well without ever having done so."""
        while not self._open_next():
            if not self._call.running():
                self._call.finish()
                if self._streaming:
                    raise ModuleError(
                        "cannot go on with the download: the update module ended before it took all payload files",
                        hint="it has to read stream-next until there is nothing more in it",
                    )
                return False
            self._pause()
        self._streaming = True
        self._rest = _SHORTEST_REST
        return True

    def _store(self, file: IncomingFile) -> None:
        self._tree.store(file.name, self._checked(file))
        file.finish()

    def _stream(self, file: IncomingFile) -> None:
        path = self._tree.path / STREAMS / file.name
        size = f" {file.size}" if self._with_sizes else ""
        try:
            os.mkfifo(path, 0o600)
            assert self._next is not None
            os.write(self._next, f"{STREAMS}/{file.name}{size}\n".encode())
        except BrokenPipeError:
            self._gave_up("it closed stream-next without having read it")
        except OSError as e:
            raise ModuleError(f"cannot make {path}: {e.strerror or e}") from e
        self._close_next()
        stream = self._wait_for_reader(path)
        try:
            for chunk in self._checked(file):
                self._write(stream, chunk, file.name)
            # Closing tells the module that the file is whole: not before its digest says so.
            file.finish()
        except BaseException:
            self._call.end_group()
            raise
        finally:
            os.close(stream)

    def _end(self) -> None:
        """Tell the module that there is nothing more, and wait for its end.

        One that knows that it has all and ends without asking again is fine, as it is for existing clients.
        """
        while self._call.running():
            if self._open_next():
                self._streaming = True
                self._close_next()
            self._pause()
        self._call.finish()

    def _wait_for_reader(self, path: Path) -> int:
        """Return the write end of a stream once the module has opened it."""
        since = time.monotonic()
        while (stream := _open_writer(path)) is None:
            if not self._call.running():
                self._gave_up(f"it ended without having read {path.name}")
            # At first whoever read the name may still hold stream-next open, and wait for us to close it.
            waited = time.monotonic() - since
            if waited > self._patience and self._open_next() and waited > 2 * self._patience:
                self._gave_up(f"it asks for the next stream without having read {path.name}")
            self._pause()
        self._rest = _SHORTEST_REST
        return stream

    def _write(self, stream: int, chunk: bytes, name: str) -> None:
        view = memoryview(chunk)
        running = self._call.running()
        while view:
            try:
                view = view[os.write(stream, view) :]
            except BlockingIOError:
                # A child that the module left behind may hold the stream; it is not waited for.
                if not running:
                    self._gave_up(f"it ended before it had read all of {name}")
                self._check()
                self._call.watch(TICK, until_writable=stream)
                running = self._call.running()
            except BrokenPipeError:
                self._gave_up(f"it stopped reading {name} before its end")

    def _gave_up(self, why: str) -> NoReturn:
        """Raise the error of a module that left the order of things; its own words, if it fails at once, are better."""
        until = time.monotonic() + self._patience
        while self._call.running() and not self._open_next() and time.monotonic() < until:
            self._pause()
        if not self._call.running():
            self._call.finish()
        raise ModuleError(f"cannot go on with the download: the update module broke the protocol: {why}")

    def _open_next(self) -> bool:
        """Return whether the module has stream-next open; if so we have it, too, until `_close_next`."""
        if self._next is None:
            self._next = _open_writer(self._tree.path / STREAM_NEXT)
        return self._next is not None

    def _close_next(self) -> None:
        if self._next is not None:
            os.close(self._next)
            self._next = None

    def _checked(self, file: IncomingFile) -> Iterator[bytes]:
        for chunk in file.chunks():
            self._check()
            yield chunk

    def _pause(self) -> None:
        self._check()
        self._call.watch(self._rest)
        self._rest = min(2 * self._rest, TICK)


def _open_writer(fifo: Path) -> int | None:
    """Open a FIFO for writing if somebody has it open for reading."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as e:
        if e.errno == errno.ENXIO:
            return None
        raise ModuleError(f"cannot open {fifo}: {e.strerror or e}") from e
