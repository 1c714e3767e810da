"""The one door to servers: a request to one of them, and its answer, bounded in size and time."""

import http.client
import io
import json
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import urljoin, urlsplit

from bistable.artifact.errors import BistableError, quoted
from bistable.artifact.source.address import Address, parse_address
from bistable.artifact.source.transport import phrase, reason, seconds_to_wait
from bistable.client.errors import ConfigError
from bistable.client.fetch.exchange import no_answer
from bistable.client.fetch.failures import Failure, TransientFetchError, broken
from bistable.client.fetch.proxyhandler import ProxyHandler
from bistable.client.fetch.settings import FetchSettings
from bistable.client.fetch.tls import make_context
from bistable.client.server.connection import HurriedHandler
from bistable.client.server.message import ANSWER_SIZE, Answer, Method, Request

ANSWER_SECONDS: Final = 120.0
"""How long an answer may take in all."""

REDIRECTS: Final = 5
PIECE: Final = 16 * 1024

_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
_SAME_METHOD: Final = frozenset({307, 308})
_MOVED: Final = frozenset({301, 302, 303}) | _SAME_METHOD
_SAID: Final = 300
"""Characters of a server's own words that are passed on."""

PORTAL: Final = "is there a captive portal between the device and the server?"


class Door:
    """Asks servers, by the settings that artifacts are fetched by: trust, own certificate, proxies, time limits.

    Raises:
        ConfigError: a certificate or key of the settings cannot be used.
    """

    def __init__(self, settings: FetchSettings, *, seconds: float = ANSWER_SECONDS) -> None:
        self.settings = settings
        self._opener = urllib.request.OpenerDirector()
        # No handler for redirects or error statuses: what they mean is decided here.
        handlers = (ProxyHandler(settings.proxies), HurriedHandler(make_context(settings), settings, seconds))
        for handler in handlers:
            self._opener.add_handler(handler)

    def ask(self, server: str, request: Request, *, token: str | None = None) -> Answer:
        """Ask once; the token is shown to this server only, wherever it redirects to.

        Raises:
            Failure: there is no answer that could be understood.
            ConfigError: the server's address cannot be used.
        """
        place = server_address(server)
        url = server.rstrip("/") + request.path
        for _ in range(REDIRECTS + 1):
            address = parse_address(url)
            response = self._open(address, request, token)
            try:
                with response:
                    if response.status not in _MOVED:
                        return self._answer(server, response)
                    url = _followed(response, place, address, request)
            except (OSError, http.client.HTTPException) as e:
                raise broken(reason(e)) from e
        raise Failure("the server redirects without end")

    def _open(self, address: Address, request: Request, token: str | None) -> http.client.HTTPResponse:
        fields = {"User-Agent": "bistable", "Accept": "application/json", **request.fields}
        authorization = f"Bearer {token}" if token is not None else address.authorization
        if authorization is not None:
            fields["Authorization"] = authorization
        data = None
        if request.body is not None:
            # Sent in pieces, so that the time limit is for each of them.
            data = _Checked(request.body, self.settings)
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(request.body))}
        asked = urllib.request.Request(  # noqa: S310 - the scheme was checked, and the opener knows no other
            address.url, data=data, headers=fields, method=request.method.value
        )
        try:
            response: http.client.HTTPResponse = self._opener.open(asked, timeout=self.settings.timeout)
        except (OSError, http.client.HTTPException) as e:
            cause = e.reason if isinstance(e, urllib.error.URLError) else e
            raise no_answer(cause, self.settings) from e
        return response

    def _answer(self, server: str, response: http.client.HTTPResponse) -> Answer:
        body = _read(response)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Answer(
            server=server,
            status=response.status,
            body=body,
            after=max(0.0, seconds_to_wait(response.headers, self.settings.now())),
            page=bool(body) and (kind in _PAGES or body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")),
        )


class _Checked(io.BytesIO):
    """A body that asks, whenever a piece of it is sent, whether it still should be."""

    def __init__(self, data: bytes, settings: FetchSettings) -> None:
        super().__init__(data)
        self._settings = settings

    def read(self, size: int | None = -1, /) -> bytes:
        self._settings.check()
        return super().read(size)


def server_address(server: str) -> Address:
    """Take the address of a server apart.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        return parse_address(server)
    except BistableError as e:
        raise ConfigError(f"cannot use a server: {e.what}", hint="see server.urls") from e


def page_failure() -> Failure:
    """Return what a web page means where none is due."""
    return broken("the answer is a web page, not one of the device API", hint=PORTAL)


def refusal(answer: Answer) -> str:
    """Return what a server refused with, its own words included."""
    said = _words(answer)
    return f"the server answered {phrase(answer.status)}" + (f": {quoted(said)}" if said else "")


def _words(answer: Answer) -> str | None:
    try:
        # Only to be shown, and so as lenient as it gets.
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    said = value.get("error") if isinstance(value, dict) else None
    return said[:_SAID] if isinstance(said, str) else None


def _followed(response: http.client.HTTPResponse, place: Address, address: Address, request: Request) -> str:
    """Return where a redirect leads to, if it may be followed."""
    target = response.headers.get("Location", "")
    try:
        there = parse_address(urljoin(address.url, target))
    except (BistableError, ValueError) as e:
        raise Failure("the server redirects to what is no address") from e
    old, new = urlsplit(place.url), urlsplit(there.url)
    if (old.scheme, old.netloc) != (new.scheme, new.netloc):
        raise Failure(
            f"the server redirects to {quoted(f'{new.scheme}://{new.netloc}')}, which is another",
            hint=f"if it has moved, name the new address in server.urls; else: {PORTAL}",
            error=TransientFetchError,
            again=True,
        )
    if response.status not in _SAME_METHOD and request.method is not Method.GET:
        raise Failure(f"the server redirects a {request.method.value} with {phrase(response.status)}")
    return there.url


def _read(response: http.client.HTTPResponse) -> bytes:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Failure(f"the server sends an answer that is encoded with {quoted(encoding)}")
    body = bytearray()
    while data := response.read1(PIECE):
        body += data
        if len(body) > ANSWER_SIZE:
            raise Failure(f"the server sends more than {ANSWER_SIZE} bytes")
    if response.length:
        raise broken("the connection ended early")
    return bytes(body)
