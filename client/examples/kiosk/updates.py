"""The update service on D-Bus, as this example needs it: read it, hear of changes, call it. It may come and go."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError
from dbus_fast.unpack import unpack_variants

NAME: Final = "io.bistable.Updates1"
PATH: Final = "/io/bistable/Updates1"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
DRIVER: Final = "org.freedesktop.DBus"

RULES: Final = (
    f"type='signal',sender='{NAME}',path='{PATH}',interface='{PROPERTIES}',member='PropertiesChanged'",
    f"type='signal',sender='{DRIVER}',interface='{DRIVER}',member='NameOwnerChanged',arg0='{NAME}'",
)

PATIENCE: Final = 60.0
"""Seconds for an answer; a health check may run before it."""


class RefusedError(Exception):
    """The service, or the bus, says no; the text is for people."""


class Updates:
    """One connection to the bus. `on_change` gets properties that changed; `on_owner` whether the service is there."""

    def __init__(
        self, bus: MessageBus, on_change: Callable[[Mapping[str, Any]], None], on_owner: Callable[[bool], None]
    ) -> None:
        self._bus, self._on_change, self._on_owner = bus, on_change, on_owner

    @classmethod
    async def connect(
        cls, address: str | None, on_change: Callable[[Mapping[str, Any]], None], on_owner: Callable[[bool], None]
    ) -> "Updates":
        """Connect to the bus; None is the system bus.

        Raises:
            RefusedError: it cannot be reached.
        """
        try:
            bus = MessageBus(bus_address=address, bus_type=BusType.SYSTEM, negotiate_unix_fd=True)
            found = cls(bus, on_change, on_owner)
            bus.add_message_handler(found._receive)
            await bus.connect()
        except (OSError, EOFError, DBusFastError) as e:
            raise RefusedError(f"cannot reach the bus: {e}") from e
        for rule in RULES:
            await found._ask(DRIVER, "/org/freedesktop/DBus", DRIVER, "AddMatch", "s", [rule])
        return found

    async def closed(self) -> None:
        """Wait until the bus is gone."""
        with suppress(OSError, EOFError, DBusFastError):
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def properties(self) -> Mapping[str, Any]:
        """Return all properties of the service."""
        reply = await self._ask(NAME, PATH, PROPERTIES, "GetAll", "s", [NAME])
        found: Mapping[str, Any] = unpack_variants(reply.body[0])
        return found

    async def inhibit(self, points: Sequence[str], who: str, why: str) -> int:
        """Hold updates at points, and return the descriptor that does it: close it to let go."""
        reply = await self.call("Inhibit", "sssst", ":".join(points), who, why, "block", 0)
        return reply.unix_fds[int(reply.body[0])]

    async def call(self, member: str, signature: str = "", *body: Any) -> Message:
        """Call a method of the service.

        Raises:
            RefusedError: it says no, or is not there.
        """
        return await self._ask(NAME, PATH, NAME, member, signature, body)

    async def _ask(
        self, to: str, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> Message:
        message = Message(
            destination=to, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        try:
            reply = await asyncio.wait_for(self._bus.call(message), PATIENCE)
        except (OSError, EOFError, TimeoutError) as e:
            raise RefusedError(f"no answer to {member}") from e
        if reply is None:
            raise RefusedError(f"no answer to {member}")
        if reply.message_type is MessageType.ERROR:
            for descriptor in reply.unix_fds:
                os.close(descriptor)
            # The first line says what is wrong, further ones what to do about it at a terminal.
            text = str(reply.body[0]) if reply.body else reply.error_name or "refused"
            raise RefusedError(text.split("\n", 1)[0])
        return reply

    def _receive(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "NameOwnerChanged" and message.sender == DRIVER and message.body[0] == NAME:
            self._on_owner(bool(message.body[2]))
        elif message.member == "PropertiesChanged" and message.path == PATH and message.body[0] == NAME:
            self._on_change(unpack_variants(message.body[1]))
