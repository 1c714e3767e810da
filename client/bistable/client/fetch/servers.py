"""Which server is asked next, and when: the first that may work, and after all failed, later."""

import logging
from collections.abc import Sequence
from typing import Final, NoReturn

from bistable.artifact.limits import KIB
from bistable.artifact.source.address import Address
from bistable.client.errors import FetchError
from bistable.client.fetch.failures import Failure, TransientFetchError
from bistable.client.fetch.settings import FetchSettings, wait

log = logging.getLogger(__name__)

FIRST_DELAY: Final = 1.0
MAX_DELAY: Final = 60.0
MAX_RETRY_AFTER: Final = 300.0
"""Longest wait, in seconds, that a server may ask for; beyond it, it is up to the caller to come back."""

PROGRESS: Final = 64 * KIB
"""Bytes that must have come for a broken connection to count as a new one and not as the next of a row."""


class Server:
    """An address with its history. `whole`: it has to be asked for the body from its first byte."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.whole = False
        self.not_before = 0.0
        self.last: Failure | None = None
        self.given_up = False


class Servers:
    """The servers of one artifact, in the order of preference; one is asked until it fails."""

    def __init__(self, addresses: Sequence[Address], settings: FetchSettings) -> None:
        self._settings = settings
        self._all = [Server(address) for address in addresses]
        self._tried: list[Server] = []
        self._failures = 0
        self._failed_at = 0
        self.current = self._all[0]

    def failed(self, failure: Failure, position: int) -> None:
        """Note that the current server failed after `position` bytes in all; wait if need be, and choose the next.

        Raises:
            FetchError: there is nothing left to try.
        """
        server = self.current
        server.last = failure
        server.given_up = not failure.again or failure.after > MAX_RETRY_AFTER
        log.info("%s: %s", server.address.shown, failure.why)
        if failure.whole and not server.whole:
            server.whole = True
            return
        server.not_before = self._settings.monotonic() + failure.after
        if position - self._failed_at >= PROGRESS:
            # It worked, and may well work again: that is nearer than another server, who must prove itself first.
            self._failures, self._tried = 0, []
        else:
            self._tried.append(server)
        self._failed_at = position
        self._choose(position)

    def _choose(self, position: int) -> None:
        alive = [server for server in self._all if not server.given_up]
        if not alive:
            self._give_up()
        now = self._settings.monotonic()
        fresh = [server for server in alive if server not in self._tried and server.not_before <= now]
        if fresh and (self._tried or self.current.given_up):
            self.current = fresh[0]
            return
        self._failures += 1
        if self._failures > self._settings.retries:
            self._give_up(f"given up after {self._settings.retries} more attempts")
        chosen = min(alive, key=lambda server: max(server.not_before, now))
        if not self._tried and self.current in alive and self.current.not_before <= now:
            chosen = self.current
        self._tried = []
        delay = min(MAX_DELAY, FIRST_DELAY * 2 ** min(self._failures - 1, 16)) * (0.5 + self._settings.jitter() / 2)
        delay = max(delay, chosen.not_before - now)
        assert self.current.last is not None
        after = f" after {position} bytes" if position else ""
        self._settings.on_wait(f"{self.current.last.why}{after}", delay)
        wait(self._settings, delay)
        self.current = chosen

    def _give_up(self, hint: str | None = None) -> NoReturn:
        """Raise what gives the caller the most to go on with: what may heal before what will not."""
        failed = [(server, server.last) for server in self._all if server.last is not None]
        failed.sort(key=lambda pair: not issubclass(pair[1].error, TransientFetchError))
        server, failure = failed[0]
        hints = [text for text in (failure.hint, hint) if text]
        if failure.after > MAX_RETRY_AFTER:
            hints.append(f"the server asks to come back in {failure.after:.0f} s")
        hints += [f"{other.address.shown}: {last.why}" for other, last in failed[1:]]
        error = failure.error if failure.error is not FetchError or not failure.again else TransientFetchError
        raised: FetchError = error(f"cannot fetch {server.address.shown}: {failure.why}", hint="; ".join(hints) or None)
        if isinstance(raised, TransientFetchError) and failure.after > 0:
            raised.retry_after = failure.after
        raise raised from failure
