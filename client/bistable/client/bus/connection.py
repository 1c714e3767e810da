"""A connection to a message bus: calls with a time limit, messages with descriptors, and the end of it."""

import asyncio
import os
import select
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from dbus_fast import BusType, Message, MessageFlag, MessageType, NameFlag, RequestNameReply
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError

from bistable.client.bus.failures import BusError
from bistable.client.bus.names import ACCESS_DENIED, DRIVER, DRIVER_PATH

DRIVER_PATIENCE: Final = 25.0
"""Seconds for an answer of the bus itself, as other libraries have it."""

ROOM_PATIENCE: Final = 0.01
"""Seconds until a bus that takes nothing more is tried again."""

INTERACTIVE: Final = MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION


class ErrorReplyError(Exception):
    """Somebody answered a call with an error; `name` is its name on the bus."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name, self.text = name, text


class Connection:
    """One connection. `on_message` gets every signal and call; it returns whether it has dealt with it."""

    def __init__(self, bus: MessageBus, on_message: Callable[[Message], bool]) -> None:
        self._bus = bus
        self._on_message = on_message
        self._under_way: asyncio.Future[None] | None = None
        self._waiting: deque[tuple[Message, list[int]]] = deque()
        self._again = False
        bus.add_message_handler(self._receive)

    @classmethod
    async def open(
        cls, address: str | None, on_message: Callable[[Message], bool], patience: float = DRIVER_PATIENCE
    ) -> "Connection":
        """Connect to the bus at an address; None is the system bus.

        Raises:
            BusError: it cannot be reached.
        """
        try:
            bus = MessageBus(bus_address=address, bus_type=BusType.SYSTEM, negotiate_unix_fd=True)
            connection = cls(bus, on_message)
            await asyncio.wait_for(bus.connect(), patience)
        except (OSError, EOFError, DBusFastError) as e:
            which = "the system bus" if address is None else f"the bus at {address}"
            why = f"no answer in {patience:g} s" if isinstance(e, TimeoutError) and not e.errno else e
            raise BusError(f"cannot reach {which}: {why}", hint="is dbus-daemon or dbus-broker running?") from e
        return connection

    async def closed(self) -> None:
        """Wait for the end of the connection, whoever ends it."""
        with suppress(OSError, EOFError, DBusFastError):
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """End it."""
        if self._bus.connected:
            self._bus.disconnect()
            await self.closed()

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        patience: float,
        flags: MessageFlag = MessageFlag.NONE,
    ) -> Message:
        """Call a method and return the answer; descriptors that came with it are the caller's to close.

        Raises:
            ErrorReplyError: the answer is an error.
            BusError: there is none within `patience` seconds, or the connection broke off.
        """
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            flags=flags,
        )
        if not self._bus.connected:
            raise BusError(f"cannot call {member}: the connection to the bus is closed")
        try:
            reply = await asyncio.wait_for(self._call(message), patience)
        except TimeoutError as e:
            raise BusError(f"cannot wait for {destination} any longer: no answer to {member} in {patience:g} s") from e
        except (OSError, EOFError) as e:
            raise BusError(f"cannot finish {member}: the connection to the bus broke off: {e}") from e
        if reply is None:  # the connection was closed from our side
            raise BusError(f"cannot finish {member}: the connection to the bus was closed")
        if reply.message_type is MessageType.ERROR:
            close_all(reply.unix_fds)
            text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
            raise ErrorReplyError(reply.error_name or "", text)
        return reply

    async def ask_driver(self, member: str, signature: str = "", *body: Any) -> Any:
        """Call a method of the bus itself and return its result.

        Raises:
            ErrorReplyError, BusError: as `call` does.
        """
        reply = await self.call(DRIVER, DRIVER_PATH, DRIVER, member, signature, body, patience=DRIVER_PATIENCE)
        return reply.body[0] if reply.body else None

    async def own(self, name: str) -> None:
        """Own a name, now or not at all.

        Raises:
            BusError: somebody else does, or the policy of the bus forbids it.
        """
        try:
            answer = await self.ask_driver("RequestName", "su", name, NameFlag.DO_NOT_QUEUE.value)
        except ErrorReplyError as e:
            if e.name != ACCESS_DENIED:
                raise BusError(f"cannot own the name {name} on the bus: {e.text}") from e
            raise BusError(
                f"cannot own the name {name} on the bus: its policy forbids it",
                hint=f"install the policy {name}.conf into /usr/share/dbus-1/system.d, and run as root",
            ) from e
        if answer not in {RequestNameReply.PRIMARY_OWNER.value, RequestNameReply.ALREADY_OWNER.value}:
            raise BusError(
                f"cannot own the name {name} on the bus: {await self._owner(name)} does",
                hint="only one client can serve a device: stop the other one",
            )

    async def _owner(self, name: str) -> str:
        """Return who owns a name, in words."""
        with suppress(ErrorReplyError, BusError):
            return f"process {await self.ask_driver('GetConnectionUnixProcessID', 's', name)}"
        return "another process"

    def send(self, message: Message, descriptors: Iterable[int] = ()) -> None:
        """Send a message; descriptors that go with it are closed when it is on its way."""
        self._waiting.append((message, list(descriptors)))
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Send what waits, one after the other, as long as the bus takes it."""
        while self._waiting and self._has_room():
            message, given = self._waiting.popleft()
            if not self._bus.connected:
                close_all(given)
                continue
            try:
                self._under_way = self._bus.send(message)
            except BaseException:
                close_all(given)
                raise
            self._under_way.add_done_callback(partial(self._sent, given))
        if self._waiting and not self._again:
            self._again = True
            asyncio.get_running_loop().call_later(ROOM_PATIENCE, self._try_again)

    def _try_again(self) -> None:
        self._again = False
        self._send_waiting()

    def _has_room(self) -> bool:
        """Return whether a message can be handed to dbus-fast.

        It writes at once, and gives the connection up when the bus is slow and takes nothing more (seen with 5.2.0).
        """
        descriptor = self._bus._fd  # there is no public name for it
        if not self._bus.connected or descriptor is None:
            return True
        if self._under_way is not None and not self._under_way.done():
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0))

    async def _call(self, message: Message) -> Message | None:
        while self._waiting or not self._has_room():
            await asyncio.sleep(ROOM_PATIENCE)
        return await self._bus.call(message)

    def _sent(self, given: list[int], future: "asyncio.Future[None]") -> None:
        close_all(given)
        if not future.cancelled():
            future.exception()  # a connection that broke off is told by `closed`
        self._send_waiting()

    def _receive(self, message: Message) -> bool:
        if message.message_type in {MessageType.METHOD_RETURN, MessageType.ERROR}:
            return False
        # Nothing that is served takes descriptors: those that come along would be kept open for ever.
        close_all(message.unix_fds)
        return self._on_message(message)


def close_all(descriptors: Iterable[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
