"""A hold over the bus lasts as long as its descriptor is open and its holder is on the bus, and not longer."""

import asyncio
import os
import select
import signal
import sys
from pathlib import Path

import pytest
from client_bus import Grant, Peer, Served, with_server
from dbus_fast import Message, MessageFlag, MessageType

from bistable.client.bus import names
from bistable.client.bus.failures import LimitError
from bistable.client.bus.holds import LONGEST, MOST_PER_USER
from bistable.client.errors import BusyError
from bistable.client.model import Point

HOLDER = """
import asyncio, sys
from dbus_fast import Message
from dbus_fast.aio import MessageBus

async def hold():
    bus = await MessageBus(bus_address=sys.argv[1], negotiate_unix_fd=True).connect()
    message = Message(
        destination="io.bistable.Updates1", path="/io/bistable/Updates1", interface="io.bistable.Updates1",
        member="Inhibit", signature="sssst", body=["install:reboot", "crasher", "busy", "block", 0],
    )
    reply = await bus.call(message)
    print(len(reply.unix_fds), flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


async def hold(peer: Peer, what: str = "install", *, mode: str = "block", seconds: int = 0) -> int:
    reply = await peer.ask("Inhibit", "sssst", what, "kiosk", "a customer is here", mode, seconds)
    assert reply.message_type is MessageType.METHOD_RETURN, reply.body
    assert reply.body == [0]
    return reply.unix_fds[0]


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def released(grant: Grant) -> None:
    await asyncio.wait_for(grant.released.wait(), 30)


def hung_up(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


async def until_hung_up(descriptor: int) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, done.set)
    try:
        await asyncio.wait_for(done.wait(), 30)
    finally:
        loop.remove_reader(descriptor)
    assert hung_up(descriptor)


def test_a_hold_lasts_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        descriptor = await hold(peer, "reboot:install:reboot", mode="delay", seconds=60)
        (grant,) = served.service.grants
        assert grant.what == ((Point.INSTALL, Point.REBOOT), "kiosk", "a customer is here", "delay", 60.0)
        await peer.settled()
        assert grant in served.service.held
        assert not hung_up(descriptor)
        os.close(descriptor)
        await released(grant)
        assert not served.service.held

    with_server(tmp_path, test)


def test_nothing_can_be_written_into_a_hold(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        descriptor = await hold(await served.peer())
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
        os.close(descriptor)

    with_server(tmp_path, test)


def test_a_copy_of_the_descriptor_goes_on_holding(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        descriptor = await hold(peer)
        copy = os.dup(descriptor)
        os.close(descriptor)
        await peer.settled()
        await peer.ask("GetHistory")
        assert served.service.held
        os.close(copy)
        await released(served.service.grants[0])

    with_server(tmp_path, test)


def test_a_holder_that_crashes_lets_go(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, served.bus.address, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"1\n"
        (grant,) = served.service.held
        process.send_signal(signal.SIGKILL)
        await released(grant)
        await process.wait()

    with_server(tmp_path, test)


def test_a_holder_that_leaves_the_bus_lets_go_whoever_still_has_the_descriptor(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        one, other = await hold(peer), await hold(peer, "commit")
        assert len(served.service.held) == 2
        await peer.close()
        for grant in served.service.grants:
            await released(grant)
        assert hung_up(one)
        assert hung_up(other)
        os.close(one)
        os.close(other)

    with_server(tmp_path, test)


def test_the_first_hold_that_is_let_go_does_not_end_the_watch_over_the_second(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        one, other = await hold(peer), await hold(peer)
        os.close(one)
        await released(served.service.grants[0])
        await peer.close()
        await released(served.service.grants[1])
        os.close(other)

    with_server(tmp_path, test)


def test_others_who_leave_the_bus_change_nothing(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer, other = await served.peer(), await served.peer()
        kept, gone = await hold(peer), await hold(other)
        await other.close()
        await released(served.service.grants[1])
        assert served.service.held == {served.service.grants[0]}
        os.close(gone)
        os.close(kept)

    with_server(tmp_path, test)


def test_a_hold_whose_time_is_over_hangs_up(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        descriptor = await hold(await served.peer(), seconds=1)
        await released(served.service.grants[0])
        assert hung_up(descriptor)
        os.close(descriptor)

    with_server(tmp_path, test)


@pytest.mark.parametrize("seconds", [LONGEST + 1, 2**64 - 1])
def test_a_hold_may_be_for_longer_than_timers_take(tmp_path: Path, seconds: int) -> None:
    async def test(served: Served) -> None:
        os.close(await hold(await served.peer(), seconds=seconds))
        await released(served.service.grants[0])

    with_server(tmp_path, test)


def test_when_the_server_stops_all_holds_hang_up(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        descriptor = await hold(await served.peer())
        await served.server.stop()
        await until_hung_up(descriptor)
        assert not served.service.held
        os.close(descriptor)

    with_server(tmp_path, test)


def test_a_hold_that_the_service_does_not_grant_leaves_nothing_behind(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        before = open_descriptors()
        served.service.failing["inhibit"] = BusyError("cannot hold: no")
        reply = await peer.ask("Inhibit", "sssst", "install", "me", "busy", "block", 0)
        assert reply.error_name == names.ERROR_PREFIX + "Busy"
        assert open_descriptors() == before

    with_server(tmp_path, test)


def test_a_hold_that_nobody_wants_to_hear_of_ends_at_once(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        await peer.bus.send(
            Message(
                destination=names.NAME,
                path=names.PATH,
                interface=names.INTERFACE,
                member="Inhibit",
                signature="sssst",
                body=["install", "me", "busy", "block", 0],
                flags=MessageFlag.NO_REPLY_EXPECTED,
            )
        )
        await asyncio.wait_for(served.service.called.wait(), 30)
        await released(served.service.grants[0])

    with_server(tmp_path, test)


def test_a_user_has_a_limited_number_of_holds_over_all_connections(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer, other = await served.peer(), await served.peer()
        held = [await hold(peer if number % 2 else other) for number in range(MOST_PER_USER)]
        reply = await peer.ask("Inhibit", "sssst", "install", "me", "busy", "block", 0)
        assert reply.error_name == names.ERROR_PREFIX + "LimitExceeded"
        os.close(held.pop())
        await released(served.service.grants[-1])
        held.append(await hold(other))
        for descriptor in held:
            os.close(descriptor)

    with_server(tmp_path, test)


def test_there_is_a_limit_for_all_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        # As if the holds of this test were those of many users.
        monkeypatch.setattr("bistable.client.bus.holds.MOST", 2)
        peer = await served.peer()
        held = [await hold(peer), await hold(peer)]
        with pytest.raises(LimitError):
            served.server._holds.check_room(4711)
        for descriptor in held:
            os.close(descriptor)

    with_server(tmp_path, test)


def test_a_thousand_holds_leave_no_descriptor_behind(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        before = open_descriptors()
        for _ in range(1000):
            os.close(await hold(peer))
            await released(served.service.grants.pop())
        assert open_descriptors() == before

    with_server(tmp_path, test)


def test_a_hold_outlasts_the_bus_and_is_not_that_of_who_gets_its_name(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        before = await served.peer()
        descriptor = await hold(before)
        served.bus.stop()
        await asyncio.wait_for(served.server.wait_disconnected(), 30)
        served.bus.start()
        await served.start()
        after = await served.peer()
        assert after.bus.unique_name == before.bus.unique_name, "a new bus counts from the beginning"
        other = await hold(after)
        await after.close()
        await released(served.service.grants[1])
        assert served.service.held == {served.service.grants[0]}, "its holder still has the descriptor"
        assert not hung_up(descriptor)
        os.close(other)
        os.close(descriptor)
        await released(served.service.grants[0])

    with_server(tmp_path, test)


def test_a_stranger_with_busctl_holds_only_as_long_as_it_runs(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        words = ["Inhibit", "sssst", "install", "me", "busy", "block", "0"]
        said = await served.stranger(
            "busctl", "--address={bus}", "call", names.NAME, names.PATH, names.INTERFACE, *words
        )
        assert said.code == 0, said.err
        await released(served.service.grants[0])

    with_server(tmp_path, test)


def test_holds_that_are_over_leave_no_match_rule_at_the_bus(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()

        async def rules() -> int:
            bus = {"destination": names.DRIVER, "path": names.DRIVER_PATH}
            stats = await peer.ask(
                "GetConnectionStats", "s", names.NAME, interface="org.freedesktop.DBus.Debug.Stats", **bus
            )
            if stats.message_type is MessageType.ERROR:
                pytest.skip("this bus counts nothing")
            count: int = stats.body[0]["MatchRules"].value
            return count

        before = await rules()
        held = [await hold(peer), await hold(peer)]
        await peer.ask("GetHistory")
        assert await rules() == before + 1, "one for each holder"
        for descriptor in held:
            os.close(descriptor)
        for grant in served.service.grants:
            await released(grant)
        await peer.ask("GetHistory")
        assert await rules() == before

    with_server(tmp_path, test)
