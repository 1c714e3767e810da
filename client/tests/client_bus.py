"""A private bus with the policies that we install, a service that does what a test says, and strangers that call it."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.auth import AuthExternal

from bistable.client.bus import names
from bistable.client.bus.ports import View
from bistable.client.bus.server import BusServer
from bistable.client.model import Point

DIST = Path(__file__).parent.parent / "dist"
POLICIES = DIST / "dbus-1/system.d"

ME = f"user {pwd.getpwuid(os.getuid()).pw_name}"
"""As whom the service shows who calls it here."""

T = TypeVar("T")

# As the bus of a system: nothing is allowed but what policies add.
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  {included}
  {more}
</busconfig>
"""
# What our policies give to root, for tests that another user runs.
OWNERS = "".join(
    f'<policy user="{{user}}"><allow own="{name}"/><allow send_destination="{name}"/>'
    f'<allow receive_type="signal" receive_interface="{names.AUTH_INTERFACE}"/></policy>'
    for name in (names.NAME, names.AUTH_NAME, names.UPDATE_NAME)
)
POLKIT = """<policy user="{user}"><allow own="org.freedesktop.PolicyKit1"/></policy>
<policy context="default"><allow send_destination="org.freedesktop.PolicyKit1"/></policy>"""


class Bus:
    """A message bus of its own; `policies=False` leaves out ours, so that nobody but its user may own our names."""

    def __init__(self, folder: Path, *, policies: bool = True, more: str = "") -> None:
        program = shutil.which("dbus-daemon")
        if program is None:
            pytest.skip("the program dbus-daemon is not installed (Debian: dbus-daemon)")
        self._program = program
        # Not below the tests' own folder: others may not look into that, and may have to connect.
        self.address = f"unix:abstract=/bistable-test-{os.getpid()}-{abs(hash(folder)) % 10**12}"
        included = "".join(f"<include>{path}</include>" for path in sorted(POLICIES.glob("*.conf")) if policies)
        user = str(os.geteuid())
        if os.geteuid() and policies:
            more += OWNERS.format(user=user)
        self._config = folder / "bus.conf"
        more += POLKIT.format(user=user)
        self._config.write_text(CONFIG.format(address=self.address, included=included, more=more))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it can be connected to."""
        command = [self._program, f"--config-file={self._config}", "--nofork", "--print-address=1"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith(b"unix:"), "the bus does not start"

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Have the bus take and deliver nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@contextmanager
def running_bus(folder: Path, *, policies: bool = True, more: str = "") -> Iterator[Bus]:
    """Run a bus."""
    bus = Bus(folder, policies=policies, more=more)
    bus.start()
    try:
        yield bus
    finally:
        bus.stop()


class Grant:
    """A hold of the service."""

    def __init__(self, service: "FakeService", what: tuple[Any, ...]) -> None:
        self._service, self.what = service, what
        self.released = asyncio.Event()

    def release(self) -> None:
        """Let go."""
        self._service.held.discard(self)
        self.released.set()


class FakeService:
    """Notes every call. `failing` has errors to raise by the name of the call; `gates` has what a call waits for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failing: dict[str, BaseException] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.called = asyncio.Event()
        self.held: set[Grant] = set()
        self.grants: list[Grant] = []
        self.now = View(state="idle")
        self.login = ("", "")
        self.maps = '{"maps": []}'
        self.past: Sequence[Mapping[str, str]] = ()
        self.bundle = b"PK\5\6" + bytes(18)
        self._listeners: list[Callable[[View, View], None]] = []
        self._token_listeners: list[Callable[[str, str], None]] = []

    def show(self, view: View) -> None:
        """Be seen in another way."""
        before, self.now = self.now, view
        for listener in self._listeners:
            listener(before, view)

    def logged_in(self, token: str, url: str) -> None:
        """Have logged in, or not."""
        self.login = (token, url)
        for listener in self._token_listeners:
            listener(token, url)

    def _note(self, name: str, *what: Any) -> None:
        self.calls.append((name, *what))
        self.called.set()
        if name in self.failing:
            raise self.failing[name]

    async def _do(self, name: str, *what: Any) -> None:
        self._note(name, *what)
        if name in self.gates:
            await self.gates[name].wait()

    def view(self) -> View:
        return self.now

    def subscribe(self, listener: Callable[[View, View], None]) -> None:
        self._listeners.append(listener)

    async def check(self) -> None:
        await self._do("check")

    async def send_inventory(self) -> None:
        await self._do("send_inventory")

    async def install(self, where: str, job: str, stops: Sequence[Point]) -> str:
        await self._do("install", where, job, tuple(stops))
        return f"update-of-{job}"

    async def pause(self, points: Sequence[Point], update_id: str, *, who: str) -> None:
        await self._do("pause", tuple(points), update_id, who)

    async def proceed(self, update_id: str, point: Point, *, force: bool) -> None:
        await self._do("proceed", update_id, point, force)

    async def abort(self, update_id: str, reason: str) -> None:
        await self._do("abort", update_id, reason)

    async def commit(self) -> None:
        await self._do("commit")

    async def rollback(self) -> None:
        await self._do("rollback")

    def inhibit(self, points: Sequence[Point], who: str, why: str, mode: str, seconds: float | None) -> Grant:
        self._note("inhibit", tuple(points), who, why, mode, seconds)
        grant = Grant(self, (tuple(points), who, why, mode, seconds))
        self.held.add(grant)
        self.grants.append(grant)
        return grant

    async def history(self) -> Sequence[Mapping[str, str]]:
        await self._do("history")
        return self.past

    async def support_bundle(self) -> bytes:
        await self._do("support_bundle")
        return self.bundle

    async def set_control_map(self, text: str) -> int:
        await self._do("set_control_map", text)
        return 1800

    def control_maps(self) -> str:
        self._note("control_maps")
        return self.maps

    def token(self) -> tuple[str, str]:
        self._note("token")
        return self.login

    async def fetch_token(self) -> bool:
        await self._do("fetch_token")
        return True

    def subscribe_token(self, listener: Callable[[str, str], None]) -> None:
        self._token_listeners.append(listener)


class Peer:
    """A connection of a test's own to the bus: sends raw messages and notes what it gets."""

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self.got: list[Message] = []
        self._arrived = asyncio.Condition()
        self._notices: set[asyncio.Task[None]] = set()
        bus.add_message_handler(self._take)

    @classmethod
    async def connect(cls, address: str, uid: int | None = None) -> "Peer":
        """Connect, as another user if one is named: the kernel tells the bus who it was that connected."""
        if uid is None:
            return cls(await MessageBus(bus_address=address, negotiate_unix_fd=True).connect())
        if os.geteuid() != 0:
            pytest.skip("only root can call as another user")
        os.seteuid(uid)
        try:
            bus = MessageBus(bus_address=address, negotiate_unix_fd=True, auth=AuthExternal(uid))
            return cls(await bus.connect())
        finally:
            os.seteuid(0)

    async def close(self) -> None:
        self.bus.disconnect()
        await self.bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def ask(
        self,
        member: str,
        signature: str = "",
        *body: Any,
        destination: str = names.NAME,
        path: str = names.PATH,
        interface: str | None = names.INTERFACE,
        **more: Any,
    ) -> Message:
        """Call a method and return its answer or error as it came."""
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            **more,
        )
        reply = await asyncio.wait_for(self.bus.call(message), 30)
        assert reply is not None
        return reply

    async def listen(self, rule: str) -> None:
        driver = {"destination": names.DRIVER, "path": names.DRIVER_PATH, "interface": names.DRIVER}
        assert (await self.ask("AddMatch", "s", rule, **driver)).message_type is MessageType.METHOD_RETURN

    async def until(self, wanted: Callable[[Message], bool]) -> Message:
        """Return the first message that came, or comes, of that kind."""

        async def wait() -> Message:
            async with self._arrived:
                while True:
                    for message in self.got:
                        if wanted(message):
                            return message
                    await self._arrived.wait()

        return await asyncio.wait_for(wait(), 30)

    def signals(self, member: str) -> list[list[Any]]:
        return [message.body for message in self.got if message.member == member]

    async def settled(self) -> None:
        """Return when everything that was sent before is here: the bus keeps the order."""
        await self.ask("GetId", destination=names.DRIVER, path=names.DRIVER_PATH, interface=names.DRIVER)

    def _take(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        self.got.append(message)
        notice = asyncio.ensure_future(self._notify())
        self._notices.add(notice)
        notice.add_done_callback(self._notices.discard)

    async def _notify(self) -> None:
        async with self._arrived:
            self._arrived.notify_all()


class Served:
    """A bus with a server on it, and peers that are closed in the end."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.service = FakeService()
        self.server = BusServer()
        self._peers: list[Peer] = []

    async def peer(self, uid: int | None = None) -> Peer:
        peer = await Peer.connect(self.bus.address, uid)
        self._peers.append(peer)
        return peer

    async def start(self) -> None:
        assert await self.server.start(self.service, self.bus.address) == ()

    async def close(self) -> None:
        for peer in self._peers:
            if peer.bus.connected:
                await peer.close()
        await self.server.stop()

    async def stranger(self, *command: str, user: str | None = None) -> "Said":
        """Run a program of others on the bus."""
        return await stranger(self.bus, *command, user=user)


class Said:
    """What a program said, and its exit status."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code, self.out, self.err = code, out.decode().strip(), err.decode().strip()


async def stranger(bus: Bus, *command: str, user: str | None = None) -> Said:
    """Run a program with `{bus}` in its words as the address, as another user if one is named."""
    words = [word.replace("{bus}", bus.address) for word in command]
    for needed in [words[0], *(["setpriv"] if user else [])]:
        if shutil.which(needed) is None:
            pytest.skip(f"the program {needed} is not installed")
    if user is not None:
        words = [*as_user(user), *words]
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Said(process.returncode, out, err)


def as_user(user: str) -> list[str]:
    """Return what makes a command another user's."""
    if os.geteuid() != 0:
        pytest.skip("only root can call as another user")
    return ["setpriv", f"--reuid={user}", "--regid=65534", "--clear-groups", "--"]


def busctl(*words: str) -> list[str]:
    return ["busctl", "--address={bus}", "--no-pager", *words]


def gdbus_call(method: str, *arguments: str, name: str = names.NAME, path: str = names.PATH) -> list[str]:
    options = ["--address", "{bus}", "--dest", name, "--object-path", path, "--method", method]
    return ["gdbus", "call", *options, *arguments]


def with_server(folder: Path, test: Callable[[Served], Coroutine[Any, Any, T]], **bus: Any) -> T:
    """Run a coroutine with a bus and a server on it."""

    async def whole(running: Bus) -> T:
        served = Served(running)
        try:
            await served.start()
            return await test(served)
        finally:
            await served.close()

    with running_bus(folder, **bus) as running:
        return asyncio.run(whole(running))


@contextmanager
def server_in_thread(folder: Path) -> Iterator[tuple[Bus, Callable[[Callable[[FakeService], Any]], Any]]]:
    """Serve in a thread, for clients that are synchronous; yields the bus, and what runs a function in that thread."""
    with running_bus(folder) as bus:
        served: list[Served] = []
        ready, over = threading.Event(), asyncio.Event()
        loop = asyncio.new_event_loop()

        async def serve() -> None:
            served.append(Served(bus))
            await served[0].start()
            ready.set()
            await over.wait()
            await served[0].close()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
        thread.start()
        try:
            assert ready.wait(30)

            def within(do: Callable[[FakeService], Any]) -> Any:
                async def call() -> Any:
                    result = do(served[0].service)
                    return await result if isinstance(result, Awaitable) else result

                return asyncio.run_coroutine_threadsafe(call(), loop).result(30)

            yield bus, within
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()
            loop.close()
