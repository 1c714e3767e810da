"""Tells the server what the device is and has; only when that has changed."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, Protocol

from bistable.client.errors import ServerError
from bistable.client.server.door import refusal
from bistable.client.server.message import Method, Request
from bistable.client.server.session import Caller, Patience
from bistable.client.server.wire import attributes_body

PATH: Final = "/api/devices/v1/inventory/device/attributes"
KEY: Final = "inventory-sent"
"""Where the digest of what was sent last is kept."""

NOT_ALLOWED: Final = 405


class Kept(Protocol):
    """What remembers single values."""

    def value(self, key: str) -> str | None:
        """Return what was last kept under a key."""
        ...

    def keep_value(self, key: str, value: str) -> None:
        """Keep a value under a key."""
        ...


class Inventory:
    """The device's inventory on the server."""

    def __init__(self, caller: Caller, kept: Kept) -> None:
        self._caller, self._kept = caller, kept

    def send_changed(
        self,
        attributes: Mapping[str, str | Sequence[str]],
        patience: Patience = Patience(),  # noqa: B008 - it is frozen
    ) -> bool:
        """Send the attributes if they, or the server, are others than the last time; return whether they were.

        Raises:
            TransientServerError: the server could not be told.
            ServerError: it refuses to know.
        """
        body = attributes_body(attributes)
        if self._kept.value(KEY) == _digest(self._caller.server(patience), body):
            return False
        self._send(body, patience)
        return True

    def send(
        self,
        attributes: Mapping[str, str | Sequence[str]],
        patience: Patience = Patience(),  # noqa: B008
    ) -> None:
        """Send the attributes, all of them, whatever was sent before.

        Raises:
            TransientServerError, ServerError: as for `send_changed`.
        """
        self._send(attributes_body(attributes), patience)

    def _send(self, body: bytes, patience: Patience) -> None:
        answer = self._caller.call(Request(method=Method.PUT, path=PATH, body=body), patience)
        if answer.status == NOT_ALLOWED:
            # Servers before Mender 2.5 can only add to what they have.
            answer = self._caller.call(Request(method=Method.PATCH, path=PATH, body=body), patience)
        if not answer.good:
            raise ServerError(f"cannot send the inventory: {refusal(answer)}")
        self._kept.keep_value(KEY, _digest(answer.server, body))


def _digest(server: str, body: bytes) -> str:
    return sha256(server.encode() + b"\n" + body).hexdigest()
