"""What reading a file and reading an address have in common."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError

TIMEOUT: Final = 30.0
"""Seconds without a byte after which a connection is given up; a slow server that sends something is not."""

RETRIES: Final = 5


class SourceNotFoundError(MachineError):
    """There is no such file, or the server knows of none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How an address is read; times are seconds.

    `retries` counts attempts in a row without progress. `ca_file` (PEM) replaces the system's trusted authorities.
    `on_retry` is told why and how long is waited. The last three are given by tests.
    """

    timeout: float = TIMEOUT
    retries: int = RETRIES
    ca_file: Path | None = None
    on_retry: Callable[[str, float], None] = lambda _why, _seconds: None
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    now: Callable[[], float] = time.time
