"""Who is at work: one process at a time leads an update, and one service runs. Locks end with their process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bistable.client.errors import BusyError, StoreError
from bistable.client.files import make_directory, open_locked

LOCK: Final = "lock"
"""Held by whoever leads an update, for as long as he is at it."""

SERVICE_LOCK: Final = "service.lock"
"""Held by the service for as long as it runs."""


@contextmanager
def leading_alone(directory: Path) -> Iterator[None]:
    """Be the only process that leads an update.

    Raises:
        BusyError: another one does.
        StoreError: the data directory cannot be used.
    """
    with _held(directory, LOCK, "cannot go on: another process leads an update on this device"):
        yield


@contextmanager
def serving_alone(directory: Path) -> Iterator[None]:
    """Be the only service.

    Raises:
        BusyError: there is one already.
        StoreError: the data directory cannot be used.
    """
    with _held(directory, SERVICE_LOCK, "cannot start: the service runs already"):
        yield


def is_led(directory: Path) -> bool:
    """Return whether a process leads an update just now, as far as one may know."""
    return _is_held(directory / LOCK)


def is_served(directory: Path) -> bool:
    """Return whether the service runs, as far as one may know."""
    return _is_held(directory / SERVICE_LOCK)


@contextmanager
def _held(directory: Path, name: str, busy: str) -> Iterator[None]:
    try:
        make_directory(directory)
        with open_locked(directory / name) as held:
            if held is None:
                raise BusyError(busy, hint="wait until it is done")
            yield
    except OSError as e:
        raise StoreError(
            f"cannot use the data directory {directory}: {e.strerror or e}",
            hint="is the data partition mounted, writable, and are you root?",
        ) from e


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with open_locked(path) as held:
            return held is None
    except OSError:
        return False
