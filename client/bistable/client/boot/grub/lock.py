"""A lock on an open file, which others may hold for a moment."""

import fcntl
import time
from typing import Final

from bistable.client.errors import BootError

_TICK: Final = 0.05


def take_lock(file: int, *, timeout: float, name: object) -> None:
    """Lock the open file; it ends with the file or the process, however that ends.

    Raises:
        BootError: another process has held it for `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            if time.monotonic() >= deadline:
                raise BootError(f"cannot change the boot loader's environment: another process holds {name}") from e
            time.sleep(_TICK)
        else:
            return
