"""One question to one server, and what its answer is worth."""

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from typing import Final

from bistable.artifact.errors import MachineError, quoted
from bistable.artifact.source.address import Address
from bistable.artifact.source.transport import get, phrase, reason, seconds_to_wait
from bistable.client.errors import FetchError
from bistable.client.fetch.digest import TAIL
from bistable.client.fetch.failures import Failure, LinkRefusedError, TransientFetchError, broken, changed
from bistable.client.fetch.identity import Identity, is_strong, place_of
from bistable.client.fetch.settings import FetchSettings

_RETRIED: Final = frozenset({408, 425, 429})
"""Statuses below 500 that say "later"."""

_REFUSED: Final = {
    401: "the server asks for a login: https://USER:PASSWORD@HOST/…",
    403: "the login or the signed link does not allow it, or has run out",
    404: "check the address; a signed link may have run out",
    409: "the server is in another state than this link is for",
    410: "check the address; a signed link may have run out",
}
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})

PAGE: Final = "the answer is a web page, not an artifact: is this a captive portal?"
OLDEST_CLOCK: Final = 2024
"""A clock that shows an earlier year was never set."""

CERT_NOT_YET_VALID: Final = 9
CERT_EXPIRED: Final = 10
"""As OpenSSL numbers them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A body, from byte `first` on."""

    response: http.client.HTTPResponse
    first: int
    identity: Identity


def ask(
    opener: urllib.request.OpenerDirector,
    address: Address,
    settings: FetchSettings,
    *,
    position: int,
    known: Identity | None,
) -> Answer:
    """Ask for what follows the first `position` bytes of the body that is `known`, or for all of it.

    A continuation is asked for some bytes too early, so that they can be compared. It is asked for only where the
    answer can prove to be of the same body: at the address that was read from, or by a strong tag.

    Raises:
        Failure: no such answer.
    """
    mine = Identity(place=place_of(address))
    first = max(0, position - TAIL)
    if known is None or not (known.place == mine.place or is_strong(known.etag)):
        first = 0
    fields = {}
    if first and known is not None:
        fields["Range"] = f"bytes={first}-"
        condition = known.etag if is_strong(known.etag) else known.modified
        if condition is not None:
            fields["If-Range"] = condition
    begun = known is not None
    response = _get(opener, address, settings, fields, begun=begun)
    try:
        return _judge(response, mine, position=position, asked=first, known=known)
    except (OSError, http.client.HTTPException) as e:
        response.close()
        raise broken(reason(e)) from e
    except BaseException:
        response.close()
        raise


def _get(
    opener: urllib.request.OpenerDirector,
    address: Address,
    settings: FetchSettings,
    fields: dict[str, str],
    *,
    begun: bool,
) -> http.client.HTTPResponse:
    try:
        return get(opener, address, timeout=settings.timeout, fields=fields, private=settings.headers)
    except urllib.error.HTTPError as e:
        with e:
            raise _refusal(e, settings) from e
    except MachineError as e:
        raise Failure(e.what.partition(": ")[2] or e.what, hint=e.hint) from e
    except (OSError, http.client.HTTPException) as e:
        cause = e.reason if isinstance(e, urllib.error.URLError) else e
        if begun and isinstance(cause, ssl.SSLCertVerificationError):
            # It was trusted a moment ago: somebody is in between, a captive portal for example, and may go away.
            raise broken(reason(cause)) from e
        raise no_answer(cause, settings) from e


def _refusal(error: urllib.error.HTTPError, settings: FetchSettings) -> Failure:
    status = error.code
    why = f"the server answered {phrase(status)}"
    if status in _RETRIED or status >= 500:
        return broken(why, after=seconds_to_wait(error.headers, settings.now()))
    if status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return _doubt("the server says that its file ends before what was read already")
    if status in _REFUSED:
        return Failure(why, hint=_REFUSED[status], error=LinkRefusedError)
    if status == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return Failure(f"the proxy answered {phrase(status)}", hint="set the login in http_proxy")
    if status in range(300, 400):
        return Failure("the server redirects without end, or nowhere")
    return Failure(why)


def no_answer(cause: object, settings: FetchSettings) -> Failure:
    """Return what it means that no answer came, and why."""
    why = reason(cause)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _untrusted(cause, why, settings)
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return broken("the connection ended early")
    if isinstance(cause, ssl.SSLError):
        name = cause.reason or ""
        asks = any(word in name for word in ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "HANDSHAKE_FAILURE"))
        hint = "the server may ask for a client certificate that it knows" if asks else None
        return Failure(f"TLS failed ({name.lower().replace('_', ' ') or why})", hint=hint)
    if isinstance(cause, OSError) and "the proxy answered 4" in why:
        return Failure(why, hint="check the login in https_proxy, and what the proxy allows")
    return broken(why)


def _untrusted(error: ssl.SSLCertVerificationError, why: str, settings: FetchSettings) -> Failure:
    year = time.gmtime(settings.now()).tm_year
    if error.verify_code in {CERT_NOT_YET_VALID, CERT_EXPIRED} and year < OLDEST_CLOCK:
        hint = f"the clock of this device says it is {year}: set it first"
        return Failure(why, hint=hint, error=TransientFetchError)
    if error.verify_code == CERT_NOT_YET_VALID:
        return Failure(why, hint="is the clock of this device right?", error=TransientFetchError)
    return Failure(why, hint="name the authority that signed it as ServerCertificate, if you trust it")


def _judge(
    response: http.client.HTTPResponse, mine: Identity, *, position: int, asked: int, known: Identity | None
) -> Answer:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Failure(
            f"the server sends it encoded with {quoted(encoding)}", hint="have the server send the file as it is"
        )
    found = replace(mine, etag=response.headers.get("ETag"), modified=response.headers.get("Last-Modified"))
    if response.status == http.HTTPStatus.PARTIAL_CONTENT and asked:
        assert known is not None
        return _judge_part(response, found, known, position)
    if response.status != http.HTTPStatus.OK:
        raise Failure(f"the server answered {phrase(response.status)} where 200 is due")
    if _is_page(response):
        hint = "look at the address with a browser"
        raise Failure(PAGE, hint=hint, error=TransientFetchError, again=known is not None)
    if response.length is None and not response.chunked:
        raise Failure(
            "the server does not say how long it is, so that its end could not be told from a broken connection",
            hint="have the server send Content-Length",
        )
    _check_size(known, response.length)
    size = known.size if known is not None and response.length is None else response.length
    return Answer(response=response, first=0, identity=replace(found, size=size))


def _judge_part(response: http.client.HTTPResponse, found: Identity, known: Identity, position: int) -> Answer:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) > position or int(match[2]) < int(match[1]):
        raise _doubt(f"the server did not continue at byte {position}, as it was asked to")
    total = known.size if match[3] == "*" else int(match[3])
    _check_size(known, total)
    if not _same(found, known):
        raise _doubt("the server did not show that it still is the same file")
    identity = replace(found, etag=found.etag or known.etag, modified=found.modified or known.modified, size=total)
    return Answer(response=response, first=int(match[1]), identity=identity)


def _check_size(known: Identity | None, size: int | None) -> None:
    if known is not None and None not in {known.size, size} and known.size != size:
        raise changed(f"it has {size} bytes now, when it was begun it had {known.size}")


def _same(found: Identity, known: Identity) -> bool:
    """Return whether a part belongs to the known body, as far as the server says."""
    if known.place != found.place:
        return is_strong(known.etag) and found.etag == known.etag
    pairs = ((found.etag, known.etag), (found.modified, known.modified))
    return all(None in pair or pair[0] == pair[1] for pair in pairs)


def _is_page(response: http.client.HTTPResponse) -> bool:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in _PAGES or response.peek(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _doubt(why: str) -> Failure:
    """Return the failure to continue; the body from its first byte on will show whether it is the same."""
    return Failure(why, error=FetchError, again=True, whole=True)
