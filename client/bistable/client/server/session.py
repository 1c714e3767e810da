"""Asks the server on behalf of a device that is logged in: again when it fails, and others when it keeps failing."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from bistable.client.fetch.failures import Failure
from bistable.client.fetch.settings import wait
from bistable.client.server.door import Door, page_failure, refusal, server_address
from bistable.client.server.failures import NotAcceptedError
from bistable.client.server.login import UNAUTHORIZED, Authenticator, failure_of, most_hopeful, unreachable
from bistable.client.server.message import Answer, Request

FIRST_DELAY: Final = 1.0
TOO_MANY: Final = 429
NOT_FOUND: Final = 404

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often all servers are asked, and how many seconds one wait between that may take.

    `steady` is the delay between two attempts; without it the delay doubles, from one second on.
    """

    attempts: int = 3
    longest: float = 60.0
    steady: float | None = None


Asked: TypeAlias = Request | Callable[[str], Request]
"""A request, or what makes it for a server: they may know different ones."""


class Caller(Protocol):
    """What asks the server."""

    def call(self, request: Asked, patience: Patience = ...) -> Answer:
        """Return the server's answer, whatever it says that time cannot heal."""
        ...

    def server(self, patience: Patience = ...) -> str:
        """Return which server would be asked now."""
        ...


class Session:
    """Asks the server that the device is logged in at; logs in first, or again, where that is needed."""

    def __init__(self, door: Door, authenticator: Authenticator) -> None:
        self._door, self._login = door, authenticator
        self._settings = door.settings

    def server(self, patience: Patience = Patience()) -> str:
        """Return which server would be asked now.

        Raises:
            TransientServerError: none can be.
        """
        return self._repeated(None, patience).server

    def call(self, request: Asked, patience: Patience = Patience()) -> Answer:
        """Return the answer: good, or a refusal that asking again would not change.

        A web page is no answer, but with 404 it may be what a server says that does not know the path.

        Raises:
            NotAcceptedError: the device is not let in.
            TransientServerError: there is no such answer, after all attempts.
            ClientError: the identity is not known, or the key cannot be used.
        """
        return self._repeated(request, patience)

    def _repeated(self, request: Asked | None, patience: Patience) -> Answer:
        count = 0
        while True:
            try:
                return self._round(request)
            except Failure as failure:
                count += 1
                self._wait(failure, count, patience)

    def _round(self, request: Asked | None) -> Answer:
        """Ask one server after the other, until one answers.

        Raises:
            Failure: none does.
        """
        failures: list[Failure] = []
        for _ in self._login.servers:
            try:
                return self._once(request)
            except _ServerFailure as e:
                _log.info("%s: %s", server_address(e.server).shown, e.failure.why)
                failures.append(e.failure)
                if e.limited or len(self._login.servers) == 1:
                    break
                self._login.leave(e.server)
        raise most_hopeful(failures)

    def _once(self, request: Asked | None) -> Answer:
        standing = self._login.current()
        if request is None:
            return Answer(server=_accepted(standing.server), status=200)
        answer = self._ask(_accepted(standing.server), request, standing.token)
        if answer.status != UNAUTHORIZED:
            return answer
        # The token has run out, or the server has forgotten it.
        standing = self._login.attempt()
        answer = self._ask(_accepted(standing.server), request, standing.token)
        if answer.status == UNAUTHORIZED:
            raise NotAcceptedError(f"cannot ask the server: it let the device in, but {refusal(answer)}")
        return answer

    def _ask(self, server: str, request: Asked, token: str | None) -> Answer:
        try:
            answer = self._door.ask(server, request(server) if callable(request) else request, token=token)
        except Failure as failure:
            raise _ServerFailure(server, failure) from failure
        found = failure_of(answer)
        if found is None and answer.page and answer.status != NOT_FOUND:
            found = page_failure()
        if found is not None:
            raise _ServerFailure(server, found, limited=answer.status == TOO_MANY)
        return answer

    def _wait(self, failure: Failure, count: int, patience: Patience) -> None:
        if count >= patience.attempts or not failure.again:
            raise unreachable(failure, "ask the server") from failure
        if patience.steady is not None:
            delay = patience.steady
        else:
            delay = min(patience.longest, FIRST_DELAY * 2 ** min(count - 1, 16))
            delay *= 0.5 + self._settings.jitter() / 2
        delay = max(delay, failure.after)
        if failure.after > patience.longest:
            raise unreachable(failure, "ask the server") from failure
        self._settings.on_wait(failure.why, delay)
        wait(self._settings, delay)


class _ServerFailure(Exception):  # noqa: N818 - never leaves this module
    """One server failed; `limited`: it only wants to be asked less often."""

    def __init__(self, server: str, failure: Failure, *, limited: bool = False) -> None:
        super().__init__(failure.why)
        self.server, self.failure, self.limited = server, failure, limited


def _accepted(server: str | None) -> str:
    if server is None:
        raise NotAcceptedError(
            "cannot ask the server: it does not accept this device (yet)", hint="accept the device on the server"
        )
    return server
