"""The client on the bus: owns the names, serves the objects, tells what changes, and watches who holds updates."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dbus_fast import Message, MessageFlag, MessageType

from bistable.artifact.errors import BistableError
from bistable.client.bus import names
from bistable.client.bus.authority import identify, require
from bistable.client.bus.connection import INTERACTIVE, Connection, ErrorReplyError, close_all
from bistable.client.bus.contract import introspection
from bistable.client.bus.failures import BusError
from bistable.client.bus.holds import Holds
from bistable.client.bus.mender import mender_objects
from bistable.client.bus.ports import Service, View
from bistable.client.bus.properties import Shown, Throttle, as_variants, text
from bistable.client.bus.served import Answer, Served
from bistable.client.bus.updates import UpdatesObject
from bistable.client.errors import ClientError

PROGRESS_INTERVAL: Final = 0.25
"""Seconds between two changes of the progress that are told."""

MOST_CALLS: Final = 64
MOST_CALLS_PER_SENDER: Final = 8
"""Calls that wait for their answer at a time: one may wait long, for a person to find a password."""

COMPATIBLE: Final = (names.AUTH_NAME, names.UPDATE_NAME)

_log = logging.getLogger(__name__)


class BusServer:
    """Serves one service on one bus, from `start` until the connection ends; it may be started again then.

    Holds outlast a connection that breaks off: their holders still have the descriptors.
    """

    def __init__(self) -> None:
        self._service: Service | None = None
        self._connection: Connection | None = None
        self._ended: asyncio.Task[None] | None = None
        self._objects: Mapping[str, Served] = {}
        self._holds = Holds(self._watch, self._unwatch)
        self._calls: dict[asyncio.Task[None], str] = {}
        self._teller: _Teller | None = None

    async def start(self, service: Service, bus_address: str | None = None) -> tuple[str, ...]:
        """Serve on the bus at an address (None: the system bus); return in words which names are not to be had.

        Those can only be Mender's, which a client of Mender may own; without its own name there is no service.

        Raises:
            BusError: the bus cannot be reached, or the name is taken or forbidden.
        """
        await self._disconnect()
        if service is not self._service:
            self._adopt(service)
        connection = self._connection = await Connection.open(bus_address, self._take)
        self._teller = _Teller(connection, service.view())
        self._ended = asyncio.create_task(self._until_closed(connection))
        missing = []
        try:
            await connection.own(names.NAME)
            for name in COMPATIBLE:
                try:
                    await connection.own(name)
                except BusError as e:
                    missing.append(e.what)
        except BaseException:
            await self._disconnect()
            raise
        return tuple(missing)

    async def wait_disconnected(self) -> None:
        """Return when the connection has ended, or at once if there is none."""
        if self._ended is not None:
            await asyncio.shield(self._ended)

    async def stop(self) -> None:
        """Let go of all holds and leave the bus."""
        self._holds.end_all()
        await self._disconnect()

    def _adopt(self, service: Service) -> None:
        self._service = service
        self._objects = {names.PATH: UpdatesObject(service, self._holds), **mender_objects(service)}
        service.subscribe(self._changed)
        service.subscribe_token(self._token_changed)

    async def _disconnect(self) -> None:
        if self._connection is not None and self._ended is not None:
            await self._connection.close()
            await self._ended

    async def _until_closed(self, connection: Connection) -> None:
        await connection.closed()
        self._connection = None
        if self._teller is not None:
            self._teller.close()
            self._teller = None
        self._holds.forget_senders()
        for call in list(self._calls):
            call.cancel()

    # --- what is told

    def _changed(self, before: View, after: View) -> None:
        if self._teller is not None:
            self._teller.tell(before, after)

    def _token_changed(self, token: str, url: str) -> None:
        if self._connection is not None:
            message = Message.new_signal(
                names.AUTH_PATH, names.AUTH_INTERFACE, "JwtTokenStateChange", "ss", [text(token), text(url)]
            )
            self._connection.send(message)

    # --- holders

    def _watch(self, name: str) -> None:
        self._match("AddMatch", name)

    def _unwatch(self, name: str) -> None:
        self._match("RemoveMatch", name)

    def _match(self, member: str, name: str) -> None:
        rule = (
            f"type='signal',sender='{names.DRIVER}',interface='{names.DRIVER}',member='NameOwnerChanged',arg0='{name}'"
        )
        if self._connection is not None:
            message = Message(
                destination=names.DRIVER,
                path=names.DRIVER_PATH,
                interface=names.DRIVER,
                member=member,
                signature="s",
                body=[rule],
                flags=MessageFlag.NO_REPLY_EXPECTED,
            )
            self._connection.send(message)

    # --- what is asked

    def _take(self, message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL:
            if message.sender == names.DRIVER and message.member == "NameOwnerChanged" and not message.body[2]:
                self._holds.sender_gone(message.body[0])
            return True
        path, member = message.path or "", message.member or ""
        if (message.interface, member, message.signature) == (names.INTROSPECTABLE, "Introspect", ""):
            shown = introspection(path, {place: one.interface for place, one in self._objects.items()})
            if shown is not None:
                self._answer(message, Answer(body=[shown]), "s")
            return shown is not None
        served = self._objects.get(path)
        if served is None or message.interface == "org.freedesktop.DBus.Peer":
            return False
        if message.interface == names.PROPERTIES:
            self._property(served, message)
        elif message.interface in {None, served.interface.name}:
            self._method(served, message)
        else:
            self._refuse(message, names.UNKNOWN_INTERFACE, f"there is no interface {message.interface} here")
        return True

    def _property(self, served: Served, message: Message) -> None:
        member: str = message.member or ""
        if (member, message.signature) not in {("Get", "ss"), ("GetAll", "s"), ("Set", "ssv")}:
            self._refuse(message, names.UNKNOWN_METHOD, f"there is no {member}({message.signature}) here")
        elif message.body[0] not in {served.interface.name, ""}:
            self._refuse(message, names.UNKNOWN_INTERFACE, f"there is no interface {message.body[0]} here")
        elif member == "GetAll":
            values = as_variants({name: served.value(name) for name in served.interface.properties})
            self._answer(message, Answer(body=[values]), "a{sv}")
        elif (name := message.body[1]) not in served.interface.properties:
            self._refuse(message, names.UNKNOWN_PROPERTY, f"there is no property {name} here")
        elif member == "Set":
            self._refuse(message, names.PROPERTY_READ_ONLY, f"the property {name} can only be read")
        else:
            self._answer(message, Answer(body=[as_variants({name: served.value(name)})[name]]), "v")

    def _method(self, served: Served, message: Message) -> None:
        member = served.interface.methods.get(message.member or "")
        if member is None:
            self._refuse(message, names.UNKNOWN_METHOD, f"there is no method {message.member} here")
            return
        if message.signature != member.takes:
            words = f"{message.member} takes ({member.takes}), not ({message.signature})"
            self._refuse(message, names.INVALID_ARGS, words)
            return
        sender = message.sender or ""
        waiting = list(self._calls.values())
        if len(waiting) >= MOST_CALLS or waiting.count(sender) >= MOST_CALLS_PER_SENDER:
            self._refuse(message, names.LIMITS_EXCEEDED, "too many calls wait for their answers")
            return
        task = asyncio.get_running_loop().create_task(self._serve(served, message, member.gives))
        self._calls[task] = sender
        task.add_done_callback(self._served)

    def _served(self, task: "asyncio.Task[None]") -> None:
        del self._calls[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a call on the bus went wrong", exc_info=error)

    async def _serve(self, served: Served, message: Message, gives: str) -> None:
        connection = self._connection
        assert connection is not None
        member: str = message.member or ""
        try:
            interactive = bool(message.flags & INTERACTIVE)
            caller = await identify(connection, message.sender or "", interactive=interactive)
            kind = served.kind(member, message.body)
            if kind is not None:
                await require(connection, caller, kind)
            answer = await served.call(caller, member, message.body)
        except BistableError as e:
            self._refuse(message, *served.failure(e))
        except ErrorReplyError:
            # The caller has gone already: nobody waits for an answer, and nothing was done.
            _log.debug("the caller of %s has gone", member)
        except Exception as e:  # noqa: BLE001 - whatever it is, the caller must not wait for ever
            _log.error("cannot finish %s", member, exc_info=e)
            words = f"cannot finish {member}: internal error, {type(e).__name__}"
            self._refuse(message, *served.failure(ClientError(words, hint="the log of the daemon says more")))
        else:
            self._answer(message, answer, gives)

    def _answer(self, message: Message, answer: Answer, signature: str) -> None:
        reply = Message.new_method_return(message, signature, list(answer.body), list(answer.descriptors))
        self._send_reply(message, reply, answer.descriptors)

    def _refuse(self, message: Message, name: str, words: str) -> None:
        self._send_reply(message, Message.new_error(message, name, text(words)))

    def _send_reply(self, message: Message, reply: Message, descriptors: Sequence[int] = ()) -> None:
        if self._connection is None or message.flags & MessageFlag.NO_REPLY_EXPECTED:
            close_all(descriptors)
        else:
            self._connection.send(reply, descriptors)


class _Teller:
    """Tells a bus what changes: properties first, then the signals about it."""

    def __init__(self, connection: Connection, view: View) -> None:
        self._connection = connection
        self._shown = Shown(view)
        self._latest = view
        self._throttle = Throttle(PROGRESS_INTERVAL)
        self._later: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Tell no more."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def tell(self, before: View, after: View) -> None:
        """Tell what is another than before."""
        self._latest = after
        self._properties(after, progress=self._passes(before, after))
        if before.state != after.state:
            self._signal("StateChanged", before.state, after.state, _reason(after))
        if after.held_at and (before.held_at, before.update_id) != (after.held_at, after.update_id):
            self._signal("Held", after.update_id, after.held_at, [text(one) for one in after.held_by])
        if before.update_id and before.update_id != after.update_id:
            self._signal("Ended", before.update_id, after.last_result, after.last_error_code, after.last_error)

    def _passes(self, before: View, after: View) -> bool:
        """Return whether the progress is told now; if not, see to it that it is later."""
        loop = asyncio.get_running_loop()
        if (before.progress is None) is not (after.progress is None):
            self.close()
            self._throttle.took(loop.time())
            return True
        if before.progress == after.progress or self._later is not None:
            return False
        wait = self._throttle.wait(loop.time())
        if wait:
            self._later = loop.call_later(wait, self._tell_late)
        return not wait

    def _tell_late(self) -> None:
        self._later = None
        self._throttle.took(asyncio.get_running_loop().time())
        self._properties(self._latest, progress=True)

    def _properties(self, view: View, *, progress: bool) -> None:
        changed = self._shown.changes(view, progress=progress)
        if changed:
            body = [names.INTERFACE, as_variants(changed), []]
            self._connection.send(
                Message.new_signal(names.PATH, names.PROPERTIES, "PropertiesChanged", "sa{sv}as", body)
            )

    def _signal(self, member: str, *values: Any) -> None:
        body = [text(value) if isinstance(value, str) else value for value in values]
        signature = "".join("s" if isinstance(value, str) else "as" for value in values)
        self._connection.send(Message.new_signal(names.PATH, names.INTERFACE, member, signature, body))


def _reason(view: View) -> str:
    """Return what there is to say about a state, in words for people."""
    return "; ".join(view.held_by) or (view.last_error if not view.update_id else view.substate)
