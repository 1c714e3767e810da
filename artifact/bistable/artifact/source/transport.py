"""One question and one answer over http(s), and words for what can go wrong with them."""

import email.utils
import http.client
import re
import ssl
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from bistable.artifact.errors import MachineError, quoted
from bistable.artifact.source.address import Address

_NOT_PASSED_ON: Final = frozenset({"Host", "Proxy-authorization"})
"""Fields that urllib makes anew for every request."""

_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})\b", re.ASCII)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects within http(s), never from https to http; what is private stays with the host it is for."""

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
        if request is not None and (old.scheme, old.netloc) == (new.scheme, new.netloc):
            for name, value in req.unredirected_hdrs.items():
                if name not in _NOT_PASSED_ON:
                    request.add_unredirected_header(name, value)
        fp.chunked, fp.length = False, 0  # else all that comes with the redirect would be read, be it without end
        return request

    def http_error_302(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage
    ) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except (MachineError, ValueError):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def make_opener(context: ssl.SSLContext, proxies: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Return what opens http(s) addresses and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        proxies,
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def get(
    opener: urllib.request.OpenerDirector,
    address: Address,
    *,
    timeout: float,
    fields: Mapping[str, str],
    private: Mapping[str, str] | None = None,
) -> http.client.HTTPResponse:
    """Ask once. The `private` fields and the address's login go to the named host only, wherever it redirects to.

    Raises:
        MachineError: it redirects to where it must not.
        OSError: of which urllib.error.HTTPError is the server's own refusal.
        http.client.HTTPException: the answer is not HTTP.
    """
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked, and the opener knows no other
        address.url, headers={"User-Agent": "bistable", "Accept-Encoding": "identity", **fields}
    )
    if address.authorization is not None:
        request.add_unredirected_header("Authorization", address.authorization)
    for name, value in (private or {}).items():
        request.add_unredirected_header(name, value)
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=timeout)
    except OSError:  # some of which are ValueErrors as well
        raise
    except ValueError as e:
        raise MachineError(f"cannot read {address.shown}: the server redirects to what is no address") from e
    return response


def seconds_to_wait(headers: Any, now: float) -> float:
    """Return how many seconds the server asks to wait, from either form of Retry-After."""
    text = str(headers.get("Retry-After", "")).strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0


def phrase(status: int) -> str:
    """Return a status with its usual meaning; the words that the server itself sends are not shown to anybody."""
    known = next((known.phrase for known in http.HTTPStatus if known == status), None)
    return str(status) if known is None else f"{status} ({known})"


def reason(error: object) -> str:
    """Return what went wrong, in words for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and (tunnel := _TUNNEL.match(str(error))):
        return f"the proxy answered {phrase(int(tunnel[1]))}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    if isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected):
        return "the connection ended early"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is not HTTP as it should be ({type(error).__name__})"
    return str(error) or type(error).__name__
