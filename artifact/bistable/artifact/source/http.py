"""Reads the body behind an http(s) address as one stream, over as many connections as it takes.

A body that breaks off is continued where it stopped, as long as the server shows that it still is the same one; the
digests in what is read decide in the end.
"""

import base64
import email.utils
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from bistable.artifact.errors import KeyUnusableError, MachineError, RequestError, quoted
from bistable.artifact.limits import KIB
from bistable.artifact.source.settings import HttpSettings, SourceNotFoundError

FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 30.0
MAX_RETRY_AFTER: Final = 300.0
"""Longest wait, in seconds, that a server may ask for; beyond it the user should decide."""

PROGRESS: Final = 64 * KIB
"""Bytes that must have come for a broken connection to count as a new one and not as the next of a row."""

RETRIED_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_KEPT: Final = "%/:@!$&'()*+,;=?~[]"
"""Characters of an address that are not percent-encoded: those with a meaning, and what is encoded already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to ask. `shown` leaves out the login and the query, which often are secrets."""

    url: str
    shown: str
    authorization: str | None


def parse_address(name: str) -> Address:
    """Take an address apart.

    Raises:
        RequestError: it is not one that can be read.
    """
    try:
        parts = urlsplit(name)
        host = (parts.hostname or "").encode("idna").decode()
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError as e:
        raise RequestError(f"cannot use the address: {e}") from e
    if parts.scheme not in {"http", "https"}:
        raise RequestError(f"cannot read {parts.scheme}:// addresses: only http:// and https://")
    if not host:
        raise RequestError("cannot use the address: it names no host")
    place = (f"[{host}]" if ":" in host else host) + port
    path, query = quote(parts.path, safe=_KEPT), quote(parts.query, safe=_KEPT)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    return Address(
        url=urlunsplit((parts.scheme, place, path, query, "")),
        shown=urlunsplit((parts.scheme, place, path, "", "")),
        authorization=f"Basic {base64.b64encode(login).decode()}" if parts.username is not None else None,
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects within http(s), never from https to http; the login stays with the host it is for."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme != "https" and (new.scheme, old.scheme) != ("http", "http"):
            raise MachineError(
                f"cannot read from {quoted(old.netloc)}: it redirects from {old.scheme} to {quoted(new.scheme)}",
                hint="name the final address, if you trust it",
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        login = req.get_header("Authorization")
        if request is not None and login is not None and (old.scheme, old.netloc) == (new.scheme, new.netloc):
            request.add_unredirected_header("Authorization", login)
        return request


def _make_opener(settings: HttpSettings) -> urllib.request.OpenerDirector:
    try:
        context = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    except (OSError, ssl.SSLError) as e:
        why = "it holds no certificate" if isinstance(e, ssl.SSLError) else e.strerror
        raise KeyUnusableError(f"cannot use the trusted authorities in {settings.ca_file}: {why}") from e
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


class HttpBody:
    """The body behind an address, as one stream over as many connections as it takes."""

    def __init__(self, address: Address, settings: HttpSettings) -> None:
        self._address = address
        self._settings = settings
        self._opener = _make_opener(settings)
        self._position = 0
        self._failures = 0
        self._failed_at = 0
        self._validators: tuple[str | None, str | None] = (None, None)
        self._answered = False
        self.size: int | None = None
        self._response: http.client.HTTPResponse | None = self._connect()

    def close(self) -> None:
        """End the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or nothing at the end."""
        while self.size is None or self._position < self.size:
            if self._response is None:
                self._response = self._connect()
            wanted = size if self.size is None else min(size, self.size - self._position)
            try:
                data = self._response.read1(wanted)
            except (OSError, http.client.HTTPException) as e:
                self._broken(_reason(e))
                continue
            if data:
                self._position += len(data)
                return data
            if self.size is None:
                break  # the server never said how long it is: the end of the connection is all there is
            self._broken("the connection ended early")
        return b""

    def _broken(self, why: str) -> None:
        self.close()
        self._pause(f"{why} after {self._position} bytes", 0.0)

    def _connect(self) -> http.client.HTTPResponse:
        while True:
            try:
                return self._request()
            except urllib.error.HTTPError as e:
                with e:
                    if e.code not in RETRIED_STATUSES:
                        self._refused(e.code)
                    self._pause(f"the server answered {_phrase(e.code)}", self._retry_after(e.headers))
            except (OSError, http.client.HTTPException) as e:
                cause = e.reason if isinstance(e, urllib.error.URLError) else e
                if self._is_final(cause):
                    self._fail(_reason(cause))
                self._pause(_reason(cause), 0.0)

    def _request(self) -> http.client.HTTPResponse:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked, and the opener knows no other
            self._address.url, headers={"User-Agent": "bistable", "Accept-Encoding": "identity"}
        )
        if self._address.authorization is not None:
            request.add_unredirected_header("Authorization", self._address.authorization)
        if self._position:
            request.add_header("Range", f"bytes={self._position}-")
            etag, modified = self._validators
            if etag is not None and not etag.startswith("W/"):
                request.add_header("If-Range", etag)
            elif modified is not None:
                request.add_header("If-Range", modified)
        response: http.client.HTTPResponse = self._opener.open(request, timeout=self._settings.timeout)
        try:
            self._check(response)
        except BaseException:
            response.close()
            raise
        return response

    def _check(self, response: http.client.HTTPResponse) -> None:
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding != "identity":
            self._fail(
                f"the server sends it encoded with {quoted(encoding)}", hint="have the server send the file as it is"
            )
        validators = (response.headers.get("ETag"), response.headers.get("Last-Modified"))
        if self._position:
            self._check_continuation(response, validators)
        elif response.status != http.HTTPStatus.OK:
            self._fail(f"the server answered {_phrase(response.status)} where 200 is due")
        else:
            self.size = response.length
            self._validators = validators
        self._answered = True

    def _check_continuation(
        self, response: http.client.HTTPResponse, validators: tuple[str | None, str | None]
    ) -> None:
        """Check that what follows belongs to what was read; a mix of two bodies must not come out."""
        pairs = zip(validators, self._validators, strict=True)
        if any(new is not None and old is not None and new != old for new, old in pairs):
            self._changed()
        if response.status == http.HTTPStatus.OK:
            if response.length != self.size:
                self._changed()
            self._fail(
                f"the connection broke after {self._position} bytes, and the server cannot continue there",
                hint="download the file first, then name it",
            )
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status != http.HTTPStatus.PARTIAL_CONTENT or match is None or int(match[1]) != self._position:
            self._fail(f"the server did not continue at byte {self._position}, as it was asked to")
        if match[3] != "*":
            total = int(match[3])
            if self.size not in {None, total}:
                self._changed()
            self.size = total

    def _refused(self, status: int) -> NoReturn:
        if status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and self._position:
            self._changed()
        if status in {404, 410}:
            raise SourceNotFoundError(
                f"cannot read {self._address.shown}: the server has no such file ({status})", hint="check the address"
            )
        hints = {
            401: "the server asks for a login: https://USER:PASSWORD@HOST/…",
            403: "the login or the signed link does not allow it, or has run out",
            407: "the proxy asks for a login: set it in https_proxy",
        }
        if status in range(300, 400):
            self._fail("the server redirects without end, or nowhere")
        self._fail(f"the server answered {_phrase(status)}", hint=hints.get(status))

    def _changed(self) -> NoReturn:
        self._fail("it changed while it was read", hint="start again")

    def _fail(self, why: str, *, hint: str | None = None) -> NoReturn:
        raise MachineError(f"cannot read {self._address.shown}: {why}", hint=hint)

    def _is_final(self, cause: object) -> bool:
        """What never worked is a mistake in the address, not a hiccup of the network."""
        if self._answered:
            return False
        if isinstance(cause, socket.gaierror):
            return cause.errno != socket.EAI_AGAIN
        return isinstance(cause, ConnectionRefusedError | ssl.SSLError | http.client.InvalidURL)

    def _retry_after(self, headers: Any) -> float:
        """Return how many seconds the server asks to wait, from either form of the field."""
        text = str(headers.get("Retry-After", "")).strip()
        if re.fullmatch(r"[0-9]{1,9}", text):
            return float(text)
        try:
            return email.utils.parsedate_to_datetime(text).timestamp() - self._settings.now()
        except (ValueError, OverflowError):
            return 0.0

    def _pause(self, why: str, asked: float) -> None:
        """Wait longer from attempt to attempt, by a random share, so that a fleet does not come back at once."""
        self._failures = 1 if self._position - self._failed_at >= PROGRESS else self._failures + 1
        self._failed_at = self._position
        if self._failures > self._settings.retries:
            self._fail(why, hint=f"given up after {self._settings.retries} more attempts")
        if asked > MAX_RETRY_AFTER:
            self._fail(why, hint=f"the server asks to come back in {asked:.0f} s")
        delay = min(MAX_DELAY, FIRST_DELAY * 2 ** (self._failures - 1)) * (0.5 + self._settings.jitter() / 2)
        delay = max(delay, asked)
        self._settings.on_retry(why, delay)
        self._settings.sleep(delay)


def _phrase(status: int) -> str:
    """Return a status with its usual meaning; the words that the server itself sends are not shown to anybody."""
    known = next((known.phrase for known in http.HTTPStatus if known == status), None)
    return str(status) if known is None else f"{status} ({known})"


def _reason(error: object) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    if isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected):
        return "the connection ended early"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is not HTTP as it should be ({type(error).__name__})"
    return str(error) or type(error).__name__
