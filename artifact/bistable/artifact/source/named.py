"""Opens what a user names: a file, `-` for standard input, or an http(s) address.

All of them are read forward, once, and unbuffered.
"""

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, BinaryIO, Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.source.settings import HttpSettings, SourceNotFoundError
from bistable.artifact.streams.source import Source

STDIN: Final = "-"
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class NamedSource:
    """An open source: its `name` for people, its `size` in bytes if it is known, and `read`."""

    def __init__(self, raw: Source, *, name: str, size: int | None, on_progress: Callable[[int], None]) -> None:
        self._raw = raw
        self._on_progress = on_progress
        self.name = name
        self.size = size

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or nothing at the end.

        Raises:
            MachineError: it cannot be read, or changed while it was read.
        """
        try:
            data = self._raw.read(size)
        except OSError as e:
            raise MachineError(f"cannot read {self.name}: {e.strerror or e}") from e
        if data:
            self._on_progress(len(data))
        return data


def is_address(name: str) -> bool:
    """Return whether `name` is an address (`https://…`) rather than the path of a file."""
    return _ADDRESS.match(name) is not None


@contextmanager
def open_source(
    name: str,
    *,
    on_progress: Callable[[int], None] = lambda _count: None,
    settings: HttpSettings | None = None,
) -> Iterator[NamedSource]:
    """Open the file, address or standard input (`-`) that `name` names, for one forward pass.

    `on_progress` is called with the number of bytes just read.

    Raises:
        SourceNotFoundError: there is no such thing.
        MachineError: it cannot be opened or read.
        KeyUnusableError: the file of trusted authorities cannot be used.
        RequestError: the address cannot be used.
    """
    with _open_raw(name, settings or HttpSettings()) as (raw, shown, size):
        yield NamedSource(raw, name=shown, size=size, on_progress=on_progress)


def _open_raw(name: str, settings: HttpSettings) -> AbstractContextManager[tuple[Source, str, int | None]]:
    if name == STDIN:
        return _open_stdin()
    return _open_address(name, settings) if is_address(name) else _open_file(name)


@contextmanager
def _open_stdin() -> Iterator[tuple[Source, str, int | None]]:
    shown = "standard input"
    if sys.stdin is None:
        raise MachineError(f"cannot read {shown}: it is closed")
    if sys.stdin.isatty():
        raise RequestError(f"cannot read {shown}: it is a terminal", hint="pipe an artifact into this command")
    buffered = sys.stdin.buffer
    yield getattr(buffered, "raw", buffered), shown, _size_of(buffered)


@contextmanager
def _open_file(name: str) -> Iterator[tuple[Source, str, int | None]]:
    try:
        file = open(name, "rb", buffering=0)  # noqa: SIM115, PTH123 - Path("") would be the working directory
    except FileNotFoundError as e:
        raise SourceNotFoundError(f"cannot read {name}: no such file") from e
    except IsADirectoryError as e:
        raise MachineError(f"cannot read {name}: it is a directory") from e
    except (OSError, ValueError) as e:
        raise MachineError(f"cannot read {name}: {getattr(e, 'strerror', None) or e}") from e
    with file:
        yield file, name, _size_of(file)


def _size_of(file: BinaryIO | Any) -> int | None:
    """Return how many bytes are left in a regular file, None for pipes and the like."""
    try:
        status = os.fstat(file.fileno())
        return status.st_size - file.tell() if stat.S_ISREG(status.st_mode) else None
    except OSError:
        return None


@contextmanager
def _open_address(name: str, settings: HttpSettings) -> Iterator[tuple[Source, str, int | None]]:
    # Loaded here, since it takes longer than showing an artifact that lies on the disk.
    from bistable.artifact.source.address import parse_address
    from bistable.artifact.source.http import HttpBody

    address = parse_address(name)
    with closing(HttpBody(address, settings)) as body:
        yield body, address.shown, body.size
