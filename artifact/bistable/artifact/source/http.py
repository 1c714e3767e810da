"""Reads the body behind an http(s) address as one stream, over as many connections as it takes.

A body that breaks off is continued where it stopped, as long as the server shows that it still is the same one; the
digests in what is read decide in the end.
"""

import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from typing import Final, NoReturn

from bistable.artifact.errors import KeyUnusableError, MachineError, quoted
from bistable.artifact.limits import KIB
from bistable.artifact.source.address import Address
from bistable.artifact.source.settings import HttpSettings, SourceNotFoundError
from bistable.artifact.source.transport import get, make_opener, phrase, reason, seconds_to_wait

FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 30.0
MAX_RETRY_AFTER: Final = 300.0
"""Longest wait, in seconds, that a server may ask for; beyond it the user should decide."""

PROGRESS: Final = 64 * KIB
"""Bytes that must have come for a broken connection to count as a new one and not as the next of a row."""

RETRIED_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


def _make_opener(settings: HttpSettings) -> urllib.request.OpenerDirector:
    try:
        context = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    except (OSError, ssl.SSLError) as e:
        why = "it holds no certificate" if isinstance(e, ssl.SSLError) else e.strerror
        raise KeyUnusableError(f"cannot use the trusted authorities in {settings.ca_file}: {why}") from e
    return make_opener(context, urllib.request.ProxyHandler())


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
                self._broken(reason(e))
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
                    self._pause(
                        f"the server answered {phrase(e.code)}", seconds_to_wait(e.headers, self._settings.now())
                    )
            except (OSError, http.client.HTTPException) as e:
                cause = e.reason if isinstance(e, urllib.error.URLError) else e
                if self._is_final(cause):
                    self._fail(reason(cause))
                self._pause(reason(cause), 0.0)

    def _request(self) -> http.client.HTTPResponse:
        fields = {}
        if self._position:
            fields["Range"] = f"bytes={self._position}-"
            etag, modified = self._validators
            condition = modified if etag is None or etag.startswith("W/") else etag
            if condition is not None:
                fields["If-Range"] = condition
        response = get(self._opener, self._address, timeout=self._settings.timeout, fields=fields)
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
            self._fail(f"the server answered {phrase(response.status)} where 200 is due")
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
        self._fail(f"the server answered {phrase(status)}", hint=hints.get(status))

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
