"""The daemon as a command sees it: call it, read its properties, watch it, all without any loop of one's own."""

import asyncio
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from dbus_fast import Message, MessageType
from dbus_fast.unpack import unpack_variants

from bistable.client.bus import names
from bistable.client.bus.connection import INTERACTIVE, Connection, ErrorReplyError, close_all
from bistable.client.bus.contract import interface
from bistable.client.bus.events import CHANGED, ENDED, HELD, STARTED, STATE_CHANGED, STOPPED, BusEvent
from bistable.client.bus.failures import BusError, error_from_bus

PATIENCE: Final = 600.0
"""Seconds; a server may be asked, or a person for a password. If the daemon ends, the bus says so at once."""

_WATCHED: Final = (
    f"type='signal',sender='{names.NAME}',path='{names.PATH}'",
    f"type='signal',sender='{names.DRIVER}',interface='{names.DRIVER}',member='NameOwnerChanged',arg0='{names.NAME}'",
)

_SIGNALS: Final = {"StateChanged": STATE_CHANGED, "Held": HELD, "Ended": ENDED}
_ARGUMENTS: Final = {
    STATE_CHANGED: ("old", "new", "reason"),
    HELD: ("update_id", "point", "reasons"),
    ENDED: ("update_id", "result", "error_code", "error"),
}


class UpdatesClient:
    """A connection to the daemon, as a context manager. Holds that were taken over it end with it.

    Raises:
        BusError: the bus cannot be reached.
    """

    def __init__(self, bus_address: str | None = None) -> None:
        self._address = bus_address
        self._runner = asyncio.Runner()
        self._connection: Connection | None = None
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()

    def __enter__(self) -> Self:
        try:
            self._connection = self._runner.run(Connection.open(self._address, self._take))
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._connection is not None
        self._runner.run(self._connection.close())
        self._runner.close()

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of io.bistable.Updates1 and return what it gives; descriptors in it are the caller's to close.

        Raises:
            NotRunningError: there is no daemon.
            ClientError: what the daemon says.
        """
        member = interface(names.INTERFACE).methods[method]
        reply = self._ask(names.INTERFACE, method, member.takes, arguments)
        if reply.signature != member.gives:
            close_all(reply.unix_fds)
            raise BusError(f"cannot use the answer to {method}: it is ({reply.signature}), not ({member.gives})")
        if member.gives == "h":
            return [reply.unix_fds[reply.body[0]]]
        return [unpack_variants(value) for value in reply.body]

    def properties(self) -> Mapping[str, Any]:
        """Return all properties.

        Raises:
            NotRunningError: there is no daemon.
        """
        reply = self._ask(names.PROPERTIES, "GetAll", "s", [names.INTERFACE])
        found: Mapping[str, Any] = unpack_variants(reply.body[0])
        return found

    def watch(self) -> Iterator[BusEvent]:
        """Yield what the daemon tells, `started` with all properties first, until the bus goes away.

        Raises:
            NotRunningError: there is no daemon at the beginning; if it stops later, that is an event.
            BusError: the bus went away.
        """
        connection = self._connection
        assert connection is not None
        for rule in _WATCHED:
            self._runner.run(connection.ask_driver("AddMatch", "s", rule))
        yield BusEvent(kind=STARTED, values=self.properties())
        ended = self._runner.get_loop().create_task(connection.closed())
        ended.add_done_callback(lambda _task: self._queue.put_nowait(None))
        while (message := self._runner.run(self._queue.get())) is not None:
            event = self._event(message)
            if event is not None:
                yield event
        raise BusError("cannot watch any longer: the connection to the bus broke off")

    def _event(self, message: Message) -> BusEvent | None:
        body = unpack_variants(message.body)
        if message.sender == names.DRIVER:
            return self._owner_changed(body) if message.member == "NameOwnerChanged" else None
        if message.interface == names.PROPERTIES and body[0] == names.INTERFACE:
            return BusEvent(kind=CHANGED, values=body[1])
        kind = _SIGNALS.get(message.member or "") if message.interface == names.INTERFACE else None
        return None if kind is None else BusEvent(kind=kind, values=dict(zip(_ARGUMENTS[kind], body, strict=False)))

    def _owner_changed(self, body: list[Any]) -> BusEvent | None:
        if body[0] != names.NAME:
            return None
        return BusEvent(kind=STARTED, values=self.properties()) if body[2] else BusEvent(kind=STOPPED)

    def _ask(self, asked: str, member: str, signature: str, arguments: Any) -> Message:
        assert self._connection is not None
        call = self._connection.call(
            names.NAME,
            names.PATH,
            asked,
            member,
            signature,
            arguments,
            patience=PATIENCE,
            flags=INTERACTIVE,
        )
        try:
            return self._runner.run(call)
        except ErrorReplyError as e:
            raise error_from_bus(e.name, e.text) from e

    def _take(self, message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL:
            self._queue.put_nowait(message)
        return False
