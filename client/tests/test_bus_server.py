"""The server on the bus: its names, who has them otherwise, and what happens when the bus goes away."""

import asyncio
from pathlib import Path

import pytest
from client_bus import Bus, FakeService, Peer, Served, running_bus, with_server
from dbus_fast import MessageType

from bistable.client.bus import names
from bistable.client.bus.connection import Connection
from bistable.client.bus.failures import BusError
from bistable.client.bus.ports import View
from bistable.client.bus.server import BusServer


async def own(peer: Peer, name: str) -> None:
    driver = {"destination": names.DRIVER, "path": names.DRIVER_PATH, "interface": names.DRIVER}
    assert (await peer.ask("RequestName", "su", name, 4, **driver)).body == [1]


def test_a_second_server_is_told_who_is_there(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        second = BusServer()
        with pytest.raises(BusError, match=rf"cannot own the name {names.NAME} on the bus: process \d+ does"):
            await second.start(FakeService(), served.bus.address)
        await asyncio.wait_for(second.wait_disconnected(), 30)
        # The first one is not disturbed.
        assert (await (await served.peer()).ask("Commit")).message_type is MessageType.METHOD_RETURN
        assert served.service.calls == [("commit",)]

    with_server(tmp_path, test)


@pytest.mark.parametrize("name", [names.AUTH_NAME, names.UPDATE_NAME])
def test_without_a_name_of_mender_it_serves_and_says_so(tmp_path: Path, name: str) -> None:
    async def test(served: Served) -> None:
        await served.server.stop()
        await own(await served.peer(), name)
        (words,) = await served.server.start(served.service, served.bus.address)
        assert name in words
        assert (await (await served.peer()).ask("Commit")).message_type is MessageType.METHOD_RETURN

    with_server(tmp_path, test)


def test_a_policy_that_forbids_the_name_is_told_with_the_file_that_is_missing(tmp_path: Path) -> None:
    async def test(bus: Bus) -> None:
        with pytest.raises(BusError, match="its policy forbids it") as raised:
            await BusServer().start(FakeService(), bus.address)
        assert f"{names.NAME}.conf" in (raised.value.hint or "")

    with running_bus(tmp_path, policies=False) as bus:
        asyncio.run(test(bus))


def test_a_bus_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="cannot reach the bus at unix:path="):
        asyncio.run(BusServer().start(FakeService(), f"unix:path={tmp_path}/nothing"))


@pytest.mark.parametrize("says", [b"", b"OK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n"])
def test_a_bus_that_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path, says: bytes) -> None:
    async def test() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(says)
            await reader.read()
            writer.close()

        server = await asyncio.start_unix_server(serve, tmp_path / "bus")
        with pytest.raises(BusError, match=r"no answer in 0\.2 s"):
            await Connection.open(f"unix:path={tmp_path}/bus", lambda _message: False, patience=0.2)
        server.close()

    asyncio.run(test())


@pytest.mark.parametrize("says", [b"ERROR no\r\n", b"REJECTED EXTERNAL\r\n", b"nonsense\r\n"])
def test_a_bus_that_lets_nobody_in_is_told(tmp_path: Path, says: bytes) -> None:
    async def test() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(says)
            await reader.read()
            writer.close()

        server = await asyncio.start_unix_server(serve, tmp_path / "bus")
        with pytest.raises(BusError, match="cannot reach the bus at"):
            await Connection.open(f"unix:path={tmp_path}/bus", lambda _message: False)
        server.close()

    asyncio.run(test())


def test_a_bus_that_hangs_up_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_unix_server(serve, tmp_path / "bus")
        with pytest.raises(BusError, match="cannot reach the bus at"):
            await Connection.open(f"unix:path={tmp_path}/bus", lambda _message: False)
        server.close()

    asyncio.run(test())


@pytest.mark.parametrize("address", ["nonsense", "unix:nothing=x", "carrier-pigeon:x=y"])
def test_an_address_that_makes_no_sense_is_told(address: str) -> None:
    with pytest.raises(BusError, match="cannot reach the bus at"):
        asyncio.run(BusServer().start(FakeService(), address))


def test_when_the_bus_goes_away_the_server_says_so_and_may_start_again(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        for _ in range(2):
            served.bus.stop()
            await asyncio.wait_for(served.server.wait_disconnected(), 30)
            served.service.show(View(state="download"))
            with pytest.raises(BusError):
                await served.server.start(served.service, served.bus.address)
            served.bus.start()
            await served.start()
        peer = await served.peer()
        await peer.listen("type='signal'")
        served.service.show(View(state="idle", substate="again"))
        await peer.ask("GetHistory")
        assert len(peer.signals("StateChanged")) == 1, "it must be told once, however often the server was started"

    with_server(tmp_path, test)


def test_a_call_in_progress_when_the_bus_goes_away_does_not_disturb_the_next(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.gates["check"] = asyncio.Event()
        peer = await served.peer()
        waiting = asyncio.ensure_future(peer.ask("Check"))
        await asyncio.wait_for(served.service.called.wait(), 30)
        served.bus.stop()
        await asyncio.wait_for(served.server.wait_disconnected(), 30)
        await asyncio.gather(waiting, return_exceptions=True)
        served.bus.start()
        await served.start()
        served.service.gates["check"].set()
        assert (await (await served.peer()).ask("Check")).message_type is MessageType.METHOD_RETURN

    with_server(tmp_path, test)


def test_after_a_stop_the_names_are_free(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        await served.server.stop()
        peer = await served.peer()
        for name in (names.NAME, names.AUTH_NAME, names.UPDATE_NAME):
            await own(peer, name)

    with_server(tmp_path, test)


def test_a_stop_may_come_at_any_time() -> None:
    async def test() -> None:
        server = BusServer()
        await server.stop()
        await server.wait_disconnected()
        await server.stop()

    asyncio.run(test())
