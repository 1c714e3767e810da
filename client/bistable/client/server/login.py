"""Logs the device in: which server it belongs to, and the token by which that knows it."""

import base64
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from bistable.client.errors import ConfigError, ServerError
from bistable.client.fetch.failures import Failure, broken
from bistable.client.server.door import Door, page_failure, refusal, server_address
from bistable.client.server.failures import TransientServerError
from bistable.client.server.message import Answer, Method, Request
from bistable.client.server.wire import login_body, parse_token

if TYPE_CHECKING:
    from bistable.client.server.keys import DeviceKey

PATH: Final = "/api/devices/v1/authentication/auth_requests"
SIGNATURE: Final = "X-MEN-Signature"
UNAUTHORIZED: Final = 401
RETRIED: Final = frozenset({408, 425, 429})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the device stands with its server; `pending` while somebody still has to accept it."""

    server: str | None = None
    token: str | None = field(default=None, repr=False)
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who the device is. All is asked for at each login: the identity program, and a key that may have to be made."""

    identity: Callable[[], Mapping[str, Any]]
    key: Callable[[], "DeviceKey"]
    tenant_token: str | None = field(default=None, repr=False)

    def request(self) -> Request:
        """Return the signed request to be let in.

        Raises:
            ClientError: the identity is not known, or the key cannot be used.
        """
        key = self.key()
        body = login_body(self.identity(), key.public_pem, self.tenant_token)
        signature = base64.b64encode(key.sign(body)).decode()
        return Request(method=Method.POST, path=PATH, body=body, fields={SIGNATURE: signature})


class Identified(Protocol):
    """What makes the device known."""

    def request(self) -> Request:
        """Return the signed request to be let in.

        Raises:
            ClientError: the identity is not known, or the key cannot be used.
        """
        ...


class Authenticator:
    """Keeps the device logged in, in memory only. `standing` may be read from any thread.

    The server that took the device is asked until it fails; then the others are, in their order. `on_change` is told
    when token or server are others than before.
    """

    def __init__(
        self,
        servers: Sequence[str],
        door: Door,
        credentials: Identified,
        *,
        on_change: Callable[[Standing], None] = lambda _standing: None,
    ) -> None:
        if not servers:
            raise ConfigError("cannot log in: no server is configured", hint="set server.urls")
        self.servers = tuple(dict.fromkeys(servers))
        for server in self.servers:
            server_address(server)
        self._door, self._credentials, self._on_change = door, credentials, on_change
        self._first = 0
        self._stale = False
        self._turn = threading.Lock()
        self.standing = Standing()

    def login(self) -> Standing:
        """Log in anew, at whichever server lets the device in.

        That none does (yet) is not an error: it is pending.

        Raises:
            TransientServerError: no server could be asked.
            ClientError: the identity is not known, or the key cannot be used.
        """
        try:
            return self.attempt()
        except Failure as failure:
            raise unreachable(failure, "log in") from failure

    def forget(self) -> None:
        """Have the next request log in first, so that it proves that the device still can."""
        self._stale = True

    def leave(self, server: str) -> None:
        """Begin with the server after this one, which failed, and log in there."""
        if server in self.servers:
            self._first = (self.servers.index(server) + 1) % len(self.servers)
        self._stale = True

    def current(self) -> Standing:
        """Return a standing with a token, if there is any to be had; log in if need be.

        Raises:
            Failure: no server could be asked.
        """
        standing = self.standing
        return self.attempt() if standing.token is None or self._stale else standing

    def attempt(self) -> Standing:
        """Log in anew, as `login` does.

        Raises:
            Failure: no server could be asked.
        """
        with self._turn:
            request = self._credentials.request()
            failures: list[Failure] = []
            refused = False
            for index in self._order():
                server = self.servers[index]
                try:
                    token = self._ask(server, request)
                except Failure as failure:
                    _log.info("cannot log in at %s: %s", server_address(server).shown, failure.why)
                    failures.append(failure)
                    continue
                if token is not None:
                    self._first, self._stale = index, False
                    return self._stand(Standing(server=server, token=token))
                refused = True
            if refused:
                return self._stand(Standing(pending=True))
            raise most_hopeful(failures)

    def _order(self) -> list[int]:
        count = len(self.servers)
        return [(self._first + step) % count for step in range(count)]

    def _ask(self, server: str, request: Request) -> str | None:
        """Return the token; None if the server does not let the device in."""
        answer = self._door.ask(server, request)
        if answer.page:
            raise page_failure()
        if answer.status == UNAUTHORIZED:
            _log.info("%s does not accept this device (yet): %s", server_address(server).shown, refusal(answer))
            return None
        if not answer.good:
            raise failure_of(answer) or Failure(refusal(answer))
        try:
            return parse_token(answer.body)
        except ServerError as e:
            raise Failure(e.what.partition(": ")[2]) from e

    def _stand(self, standing: Standing) -> Standing:
        before, self.standing = self.standing, standing
        if (before.server, before.token) != (standing.server, standing.token):
            self._on_change(standing)
        return standing


def failure_of(answer: Answer) -> Failure | None:
    """Return the failure that an answer is if time may heal it."""
    if answer.status >= 500 or answer.status in RETRIED:
        return broken(refusal(answer), after=answer.after)
    return None


def unreachable(failure: Failure, what: str) -> TransientServerError:
    """Return the error for a caller to whom it does not matter which attempt it was that failed."""
    error = TransientServerError(f"cannot {what}: {failure.why}", hint=failure.hint)
    if failure.after > 0:
        error.retry_after = failure.after
    return error


def most_hopeful(failures: Sequence[Failure]) -> Failure:
    """Return the failure that gives the caller the most to go on with: one that may heal."""
    return next((failure for failure in failures if failure.again), failures[0])
