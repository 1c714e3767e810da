"""How artifacts are fetched."""

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bistable.artifact.errors import quoted
from bistable.client.errors import ConfigError
from bistable.client.fetch.proxies import Proxies

TIMEOUT: Final = 30.0
"""Seconds without a byte after which a connection is given up; a slow server that sends something is not."""

RETRIES: Final = 10
"""What other clients use if RetryDownloadCount is not set."""

STEP: Final = 0.5
"""Seconds that a wait goes on before it is asked again whether the update should still go on."""


_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VALUE: Final = re.compile(r"[ -~]*", re.ASCII)
_OURS: Final = frozenset({"accept-encoding", "connection", "host", "if-range", "proxy-authorization", "range"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """How addresses are read; times are seconds.

    `retries`: attempts in a row without progress. `rate_limit`: bytes per second. `ca_file` (PEM) is trusted besides
    the system's authorities. `certificate` and `key` (PEM) are shown to servers that ask who we are. `headers` go to
    the named servers only, not to where they redirect. `check` is called for every piece and while waiting, and ends
    the fetch by raising; `on_wait` is told why and how long is waited. The last four are given by tests.
    """

    timeout: float = TIMEOUT
    retries: int = RETRIES
    rate_limit: int | None = None
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    skip_verify: bool = False
    proxies: Proxies = field(default_factory=Proxies)
    headers: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[], None] = lambda: None
    on_wait: Callable[[str, float], None] = lambda _why, _seconds: None
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name.lower() in _OURS:
                raise ConfigError(f"cannot send the header field {quoted(name)} along: it is ours to set, or malformed")


def wait(settings: FetchSettings, seconds: float) -> None:
    """Wait, in steps, so that an abort does not have to wait too."""
    settings.check()
    while seconds > 0:
        settings.sleep(min(seconds, STEP))
        seconds -= STEP
        settings.check()


class Pace:
    """Keeps what is read below a rate: a bucket that holds one second's worth."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._rate = None if settings.rate_limit is None else max(1, settings.rate_limit)
        self._due = settings.monotonic()

    def most(self, size: int) -> int:
        """Return how many bytes may be asked for at once, so that they come evenly."""
        return size if self._rate is None else min(size, max(1, self._rate // 4))

    def spend(self, count: int) -> None:
        """Wait as long as `count` bytes take at this rate, less what was saved up."""
        if self._rate is None:
            return
        now = self._settings.monotonic()
        self._due = max(self._due, now - 1.0) + count / self._rate
        if self._due > now:
            wait(self._settings, self._due - now)
