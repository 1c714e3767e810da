"""Takes an http(s) address apart, before anything is sent to it."""

import base64
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from bistable.artifact.errors import RequestError

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
