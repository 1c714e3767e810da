"""The body that one or several servers have, as one stream over as many connections as it takes."""

import http.client
from collections.abc import Sequence
from typing import Final

from bistable.artifact.limits import KIB
from bistable.artifact.source.address import Address
from bistable.artifact.source.transport import make_opener, reason
from bistable.client.fetch.digest import RunningDigest
from bistable.client.fetch.exchange import Answer, ask
from bistable.client.fetch.failures import Failure, broken, changed
from bistable.client.fetch.identity import Identity
from bistable.client.fetch.proxyhandler import ProxyHandler
from bistable.client.fetch.servers import Servers
from bistable.client.fetch.settings import FetchSettings, Pace
from bistable.client.fetch.tls import make_context

PIECE: Final = 64 * KIB


class RemoteBody:
    """Reads what follows `digest.position` bytes of the body that is `identity`; all of a body if that is None.

    What comes out is always one server's body from its first byte to its last: where a server cannot show that it goes
    on with the same body, it is read again from its first byte and compared with the digests of what was read.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        settings: FetchSettings,
        *,
        digest: RunningDigest | None = None,
        identity: Identity | None = None,
    ) -> None:
        self._settings = settings
        self._servers = Servers(addresses, settings)
        self._opener = make_opener(make_context(settings), ProxyHandler(settings.proxies))
        self._pace = Pace(settings)
        self._response: http.client.HTTPResponse | None = None
        self.digest = RunningDigest() if digest is None else digest
        self.identity = identity

    @property
    def size(self) -> int | None:
        """The size in bytes, if it is known."""
        return None if self.identity is None else self.identity.size

    @property
    def shown(self) -> str:
        """The address that is read from, for people."""
        return self._servers.current.address.shown

    def connect(self) -> None:
        """Make sure that there is a connection which goes on where the last one ended.

        Raises:
            FetchError: there is none to be had.
        """
        while self._response is None and not self._is_complete():
            self._settings.check()
            server = self._servers.current
            answer = None
            try:
                position = 0 if server.whole else self.digest.position
                answer = ask(self._opener, server.address, self._settings, position=position, known=self.identity)
                self._catch_up(answer)
            except Failure as failure:
                _close(answer)
                self._servers.failed(failure, self.digest.position)
            except BaseException:
                _close(answer)
                raise
            else:
                self._response, self.identity, server.whole = answer.response, answer.identity, False

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or nothing at the end.

        Raises:
            FetchError: it cannot be read to its end.
        """
        while not self._is_complete():
            self.connect()
            assert self._response is not None
            self._settings.check()
            left = size if self.size is None else min(size, self.size - self.digest.position)
            try:
                data = _read(self._response, self._pace.most(left))
            except Failure as failure:
                self.close()
                self._servers.failed(failure, self.digest.position)
                continue
            if data:
                self.digest.update(data)
                self._pace.spend(len(data))
                return data
            if self.size is None:
                break  # the last chunk of a body that tells its end but not its size
            self.close()
            self._servers.failed(broken("the connection ended early"), self.digest.position)
        return b""

    def close(self) -> None:
        """End the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _is_complete(self) -> bool:
        return self.size is not None and self.digest.position >= self.size

    def _catch_up(self, answer: Answer) -> None:
        """Read what was read already, and compare it."""
        again = RunningDigest()
        known, tail = self.digest.prefix(), self.digest.tail
        at = answer.first
        if answer.identity.size is not None and answer.identity.size < known.position:
            raise changed(f"it has {answer.identity.size} bytes now, of which {known.position} were read")
        while at < known.position:
            self._settings.check()
            data = _read(answer.response, self._pace.most(min(PIECE, known.position - at)))
            if not data:
                raise broken("the connection ended early")
            self._pace.spend(len(data))
            if answer.first == 0:
                again.update(data)
                same = again.agrees(known)
            else:
                same = _lies_in(tail, known.position - len(tail), data, at)
            if not same:
                raise changed(f"what it has now differs from what was read, before byte {at + len(data)}")
            at += len(data)


def _lies_in(tail: bytes, tail_at: int, data: bytes, at: int) -> bool:
    """Return whether `data` is the same as `tail` where the two overlap."""
    skipped = max(0, tail_at - at)
    start = max(0, at - tail_at)
    part = data[skipped:]
    return tail[start : start + len(part)] == part


def _read(response: http.client.HTTPResponse, size: int) -> bytes:
    try:
        return response.read1(size)
    except (OSError, http.client.HTTPException) as e:
        raise broken(reason(e)) from e


def _close(answer: Answer | None) -> None:
    if answer is not None:
        answer.response.close()
