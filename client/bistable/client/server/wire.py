"""The bytes of the device API: the one door through which they come and go."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from bistable.artifact.errors import BistableError, RejectedError, quoted
from bistable.artifact.jsonio import encode, encode_sorted, parse_object
from bistable.artifact.source.address import parse_address
from bistable.client.errors import ServerError
from bistable.client.server.failures import OfferError
from bistable.client.server.message import ANSWER_SIZE

DEPTH: Final = 32
TEXT_SIZE: Final = 4096
"""The longest text in an answer, in characters; addresses that are signed are the longest there are."""

TYPES: Final = 1000
TOKEN_SIZE: Final = 16 * 1024

_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A deployment that the server has for this device. `control_map` is JSON that is not understood yet."""

    id: str
    uri: str
    artifact_name: str
    device_types: tuple[str, ...]
    control_map: str | None = None
    expire: str | None = None
    """Until when `uri` can be used, in the server's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a deployment's log."""

    timestamp: str
    level: str
    message: str


# --- what is sent


def login_body(identity: Mapping[str, Any], public_key: str, tenant_token: str | None) -> bytes:
    """Return a request to be let in; exactly these bytes have to be signed."""
    return encode(
        {"id_data": encode_sorted(identity).decode(), "tenant_token": tenant_token or "", "pubkey": public_key}
    )


def provides_body(provides: Mapping[str, str]) -> bytes:
    """Return what the device provides, its type included, for the first version of the API."""
    return encode_sorted(provides)


def provides_body_v2(provides: Mapping[str, str]) -> bytes:
    """Return what the device provides, and that it knows control maps."""
    return encode({"device_provides": dict(sorted(provides.items())), "update_control_map": True})


def provides_query(provides: Mapping[str, str]) -> str:
    """Return of what the device provides what an address can carry."""
    return urlencode({name: provides[name] for name in ("artifact_name", "device_type") if provides.get(name)})


def status_body(status: str, substate: str | None) -> bytes:
    """Return a status with, perhaps, what exactly is done."""
    return encode({"status": status} if substate is None else {"status": status, "substate": substate})


def attributes_body(attributes: Mapping[str, str | Sequence[str]]) -> bytes:
    """Return the inventory, in an order of its own: the same attributes are the same bytes."""
    values = [
        {"name": name, "value": value if isinstance(value, str) else list(value)}
        for name, value in sorted(attributes.items())
    ]
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def log_body(lines: Iterable[LogLine], limit: int) -> bytes:
    """Return a log of at most `limit` bytes: its end, since that is where it says what went wrong."""
    lines = list(lines)
    kept: list[bytes] = []
    room = limit - _size_of_note()
    for line in reversed(lines):
        entry = _entry(line)
        room -= len(entry) + 1
        if room < 0:
            break
        kept.append(entry)
    if (left_out := len(lines) - len(kept)) > 0:
        when = lines[left_out].timestamp if kept else lines[-1].timestamp
        kept.append(_entry(LogLine(timestamp=when, level="warning", message=_NOTE.format(left_out))))
    return b'{"messages":[' + b",".join(reversed(kept)) + b"]}"


_NOTE: Final = "({} earlier messages are left out: the log is too long)"


def _size_of_note() -> int:
    return len(_entry(LogLine(timestamp="9" * 40, level="warning", message=_NOTE.format("9" * 20)))) + 20


def _entry(line: LogLine) -> bytes:
    values = {"timestamp": line.timestamp, "level": line.level, "message": line.message}
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


# --- what is received


def parse_token(body: bytes) -> str:
    """Return the token that lets the device in.

    Raises:
        ServerError: it is none.
    """
    text = body[: TOKEN_SIZE + 1].strip().decode("ascii", "replace")
    if len(body) > TOKEN_SIZE or not _TOKEN.fullmatch(text):
        raise ServerError("cannot use the server's answer to the login: it is not a token (JWT)")
    return text


def parse_offer(body: bytes) -> Offered:
    """Return what the server offers; what it says beyond that is ignored.

    Raises:
        OfferError: it makes no sense.
    """
    try:
        fields = parse_object(body, member="the offer", limit=ANSWER_SIZE, depth=DEPTH)
    except RejectedError as e:
        raise OfferError(f"cannot use the server's offer: {_why(e)}") from e
    found = fields.get("id")
    known = found if isinstance(found, str) and _ID.fullmatch(found) else None
    if known is None:
        raise OfferError("cannot use the server's offer: its id is missing, or no identifier")
    try:
        return _offered(known, fields)
    except _WrongError as e:
        error = OfferError(f"cannot use the server's offer: {e}")
        error.deployment = known
        raise error from None


def parse_control_map(body: bytes) -> str | None:
    """Return the control map as JSON that is not understood yet; None if there is none.

    Raises:
        ServerError: it is no such answer.
    """
    try:
        fields = parse_object(body, member="the control map", limit=ANSWER_SIZE, depth=DEPTH)
    except RejectedError as e:
        raise ServerError(f"cannot use the server's control map: {_why(e)}") from e
    return _control_map(fields)


class _WrongError(Exception):
    pass


def _offered(name: str, fields: Mapping[str, Any]) -> Offered:
    artifact = _object(fields.get("artifact"), "artifact")
    source = _object(artifact.get("source"), "artifact.source")
    uri = _text(source.get("uri"), "artifact.source.uri")
    try:
        parse_address(uri)
    except BistableError as e:
        raise _WrongError(f"artifact.source.uri cannot be used: {e.what}") from e
    expire = source.get("expire")
    return Offered(
        id=name,
        uri=uri,
        artifact_name=_text(artifact.get("artifact_name"), "artifact.artifact_name"),
        device_types=_texts(artifact.get("device_types_compatible"), "artifact.device_types_compatible"),
        control_map=_control_map(fields),
        expire=None if expire is None else _text(expire, "artifact.source.expire"),
    )


def _control_map(fields: Mapping[str, Any]) -> str | None:
    value = fields.get("update_control_map")
    return None if value is None else json.dumps(value)


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _WrongError(f"{name} is not an object")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value or len(value) > TEXT_SIZE or not value.isprintable():
        raise _WrongError(f"{name} is not a text as it should be: {quoted(value)}")
    return value


def _texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= TYPES:
        raise _WrongError(f"{name} is not a list as it should be")
    return tuple(_text(item, name) for item in value)


def _why(error: RejectedError) -> str:
    return error.what.partition(": ")[2] or error.what
