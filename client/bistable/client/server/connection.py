"""Connections whose answers come in a bounded time, for urllib."""

import http.client
import io
import socket
import ssl
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bistable.client.fetch.settings import FetchSettings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Hurried(io.RawIOBase):
    """What comes from a socket, until there is no time left.

    The time limit of a socket is for its next byte. A server that sends one now and then would never be given up.
    """

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, settings: FetchSettings, seconds: float) -> None:
        self._raw, self._connection, self._settings = raw, connection, settings
        self._deadline = settings.monotonic() + seconds
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        self._settings.check()
        left = self._deadline - self._settings.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(min(self._settings.timeout, left))
        count = self._raw.readinto(buffer)
        self.ended = count == 0
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _answers(settings: FetchSettings, seconds: float) -> Callable[..., http.client.HTTPResponse]:
    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
            super().__init__(sock, *args, **more)
            # The file that the base class has made keeps the socket open; it goes on doing that inside.
            self._hurried = _Hurried(self.fp.detach(), sock, settings, seconds)
            self.fp = io.BufferedReader(self._hurried)

        def begin(self) -> None:
            super().begin()
            # To the base class a head that breaks off is one that is over, and a body without a size may be empty.
            if self._hurried.ended:
                raise http.client.IncompleteRead(b"")

    return Response


class HurriedHandler(urllib.request.AbstractHTTPHandler):
    """Connects to http(s) addresses; an answer has to be there, head and body, after so many seconds."""

    def __init__(self, context: ssl.SSLContext, settings: FetchSettings, seconds: float) -> None:
        super().__init__()
        self._context = context
        self._answers = _answers(settings, seconds)

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask over http."""
        return self.do_open(self._plain, request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask over https."""
        return self.do_open(self._secure, request)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def _plain(self, host: str, /, **more: Any) -> http.client.HTTPConnection:
        return self._made(http.client.HTTPConnection(host, **more))

    def _secure(self, host: str, /, **more: Any) -> http.client.HTTPConnection:
        return self._made(http.client.HTTPSConnection(host, context=self._context, **more))

    def _made(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        connection.response_class = self._answers  # type: ignore[assignment]
        return connection
