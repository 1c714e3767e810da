"""Calls on the bus reach the service, and its answers and errors come back under the names that are promised."""

import asyncio
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from client_bus import ME, Peer, Served, with_server
from dbus_fast import Message, MessageFlag, MessageType, Variant

from bistable.artifact.errors import RejectedError
from bistable.client import errors
from bistable.client.bus import failures, names
from bistable.client.bus.server import MOST_CALLS, MOST_CALLS_PER_SENDER
from bistable.client.bus.updates import LONGEST_WORDS
from bistable.client.fetch.failures import TransientFetchError
from bistable.client.maps import MapError
from bistable.client.model import Point

ERROR = names.ERROR_PREFIX


def ok(reply: Message) -> list[Any]:
    assert reply.message_type is MessageType.METHOD_RETURN, (reply.error_name, reply.body)
    return reply.body


def refused(reply: Message) -> tuple[str, str]:
    assert reply.message_type is MessageType.ERROR, reply.body
    assert reply.signature == "s", "other libraries show the text only if it is alone"
    return reply.error_name or "", reply.body[0]


@pytest.mark.parametrize(
    ("member", "signature", "arguments", "called", "answer"),
    [
        ("Check", "", [], ("check",), []),
        ("SendInventory", "", [], ("send_inventory",), []),
        (
            "Install",
            "sa{sv}",
            ["/media/a.mender", {"job": Variant("s", "j-1"), "stops": Variant("as", ["reboot"])}],
            ("install", "/media/a.mender", "j-1", (Point.REBOOT,)),
            ["update-of-j-1"],
        ),
        ("Pause", "ass", [["reboot", "install"], "u1"], ("pause", (Point.INSTALL, Point.REBOOT), "u1", ME), []),
        ("Continue", "ssb", ["u1", "reboot", False], ("proceed", "u1", Point.REBOOT, False), []),
        ("Continue", "ssb", ["", "commit", True], ("proceed", "", Point.COMMIT, True), []),
        ("Abort", "ss", ["u1", " not today "], ("abort", "u1", "not today"), []),
        ("Commit", "", [], ("commit",), []),
        ("Rollback", "", [], ("rollback",), []),
        ("SetControlMap", "s", ['{"id": 1}'], ("set_control_map", '{"id": 1}'), [1800]),
        ("GetControlMaps", "", [], ("control_maps",), ['{"maps": []}']),
        ("GetHistory", "", [], ("history",), [[{"artifact": "a", "result": "success"}]]),
    ],
)
def test_a_call_reaches_the_service(
    tmp_path: Path, member: str, signature: str, arguments: list[Any], called: tuple[Any, ...], answer: list[Any]
) -> None:
    async def test(served: Served) -> None:
        served.service.past = [{"artifact": "a", "result": "success"}]
        peer = await served.peer()
        assert ok(await peer.ask(member, signature, *arguments)) == answer
        assert served.service.calls == [called]

    with_server(tmp_path, test)


def test_an_update_without_a_job_gets_a_name_of_its_own_each_time(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        ids = {ok(await peer.ask("Install", "sa{sv}", "https://x/a", {}))[0] for _ in range(2)}
        assert len(ids) == 2

    with_server(tmp_path, test)


def test_continue_without_a_point_means_where_the_update_waits(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        assert refused(await peer.ask("Continue", "ssb", "", "", False))[0] == ERROR + "NotHeld"
        served.service.show(served.service.now.__class__(state="paused-before-commit", held_at="commit"))
        ok(await peer.ask("Continue", "ssb", "", "", False))
        assert served.service.calls == [("proceed", "", Point.COMMIT, False)]

    with_server(tmp_path, test)


def test_a_support_bundle_is_a_file_that_nobody_can_change(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.bundle = b"archive" * 1000
        peer = await served.peer()
        reply = await peer.ask("CollectSupportBundle")
        assert ok(reply) == [0]
        descriptor = reply.unix_fds[0]
        try:
            assert os.read(descriptor, 10000) == b"archive" * 1000
            with pytest.raises(PermissionError):
                os.pwrite(descriptor, b"x", 0)
            with pytest.raises(PermissionError):
                os.ftruncate(descriptor, 0)
            assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SEAL
        finally:
            os.close(descriptor)

    with_server(tmp_path, test)


@pytest.mark.parametrize("name", failures.KINDS)
def test_an_error_of_the_service_has_its_own_name(tmp_path: Path, name: str) -> None:
    async def test(served: Served) -> None:
        served.service.failing["commit"] = failures.KINDS[name]("cannot do it: no", hint="do that")
        peer = await served.peer()
        given = refused(await peer.ask("Commit"))
        assert given == (ERROR + name, "cannot do it: no\ndo that")
        back = failures.error_from_bus(*given)
        assert (type(back), back.what, back.hint) == (failures.KINDS[name], "cannot do it: no", "do that")

    with_server(tmp_path, test)


def test_an_error_without_a_name_has_that_of_its_nearest_kind() -> None:
    assert failures.error_name(TransientFetchError("x")) == ERROR + "Fetch"
    assert failures.error_name(RejectedError("x")) == ERROR + "Artifact"


def test_a_faulty_map_is_told_with_the_place_of_the_fault(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.failing["set_control_map"] = MapError("cannot use the map: /states/x: no", pointer="/states/x")
        peer = await served.peer()
        name, words = refused(await peer.ask("SetControlMap", "s", "{}"))
        assert name == ERROR + "InvalidMap"
        assert "/states/x" in words

    with_server(tmp_path, test)


@pytest.mark.filterwarnings("ignore")
def test_a_fault_of_the_service_is_an_error_and_the_server_goes_on(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.failing["check"] = ZeroDivisionError("secret detail")
        peer = await served.peer()
        name, words = refused(await peer.ask("Check"))
        assert name == ERROR + "Failed"
        assert "ZeroDivisionError" in words
        assert "secret" not in words
        ok(await peer.ask("Commit"))

    with_server(tmp_path, test)


@pytest.mark.parametrize(
    ("member", "signature", "arguments"),
    [
        ("Install", "sa{sv}", ["relative/path", {}]),
        ("Install", "sa{sv}", ["-", {}]),
        ("Install", "sa{sv}", ["ftp://x/a", {}]),
        ("Install", "sa{sv}", ["/" + "a" * 5000, {}]),
        ("Install", "sa{sv}", ["/a\nb", {}]),
        ("Install", "sa{sv}", ["/a", {"jobs": Variant("s", "x")}]),
        ("Install", "sa{sv}", ["/a", {"job": Variant("u", 1)}]),
        ("Install", "sa{sv}", ["/a", {"job": Variant("s", "a b")}]),
        ("Install", "sa{sv}", ["/a", {"job": Variant("s", "a" * 65)}]),
        ("Install", "sa{sv}", ["/a", {"stops": Variant("as", ["lunch"])}]),
        ("Install", "sa{sv}", ["/a", {"stops": Variant("s", "install")}]),
        ("Pause", "ass", [[], ""]),
        ("Pause", "ass", [["lunch"], ""]),
        ("Pause", "ass", [["install"], "a\nb"]),
        ("Pause", "ass", [["install"], "a" * 1000]),
        ("Continue", "ssb", ["", "lunch", False]),
        ("Abort", "ss", ["", ""]),
        ("Abort", "ss", ["", "two\nlines"]),
        ("Inhibit", "sssst", ["", "me", "busy", "block", 0]),
        ("Inhibit", "sssst", ["install:lunch", "me", "busy", "block", 0]),
        ("Inhibit", "sssst", ["install", "", "busy", "block", 0]),
        ("Inhibit", "sssst", ["install", "me", " ", "block", 0]),
        ("Inhibit", "sssst", ["install", "me", "\x1b[2J", "block", 0]),
        ("Inhibit", "sssst", ["install", "m" * (LONGEST_WORDS + 1), "busy", "block", 0]),
        ("Inhibit", "sssst", ["install", "me", "busy", "maybe", 0]),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    tmp_path: Path, member: str, signature: str, arguments: list[Any]
) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        assert refused(await peer.ask(member, signature, *arguments))[0] == ERROR + "InvalidArguments"
        assert served.service.calls == []

    with_server(tmp_path, test)


@pytest.mark.parametrize(
    ("member", "signature", "arguments", "where", "error"),
    [
        ("Check", "s", ["x"], {}, names.INVALID_ARGS),
        ("Pause", "as", [["install"]], {}, names.INVALID_ARGS),
        ("Explode", "", [], {}, names.UNKNOWN_METHOD),
        ("Check", "", [], {"interface": "io.bistable.Updates2"}, names.UNKNOWN_INTERFACE),
        ("SetUpdateControlMap", "s", ["{}"], {"interface": names.UPDATE_INTERFACE}, names.UNKNOWN_INTERFACE),
        ("Check", "", [], {"path": "/io/bistable"}, names.UNKNOWN_METHOD),
        ("Get", "ss", ["io.nobody", "State"], {"interface": names.PROPERTIES}, names.UNKNOWN_INTERFACE),
        ("Get", "ss", [names.INTERFACE, "Mood"], {"interface": names.PROPERTIES}, names.UNKNOWN_PROPERTY),
        ("Get", "s", [names.INTERFACE], {"interface": names.PROPERTIES}, names.UNKNOWN_METHOD),
        (
            "Set",
            "ssv",
            [names.INTERFACE, "State", Variant("s", "x")],
            {"interface": names.PROPERTIES},
            names.PROPERTY_READ_ONLY,
        ),
    ],
)
def test_what_is_not_there_is_refused_by_the_common_names(
    tmp_path: Path, member: str, signature: str, arguments: list[Any], where: dict[str, str], error: str
) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        assert refused(await peer.ask(member, signature, *arguments, **where))[0] == error
        assert served.service.calls == []

    with_server(tmp_path, test)


def test_a_call_may_leave_out_the_interface(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        ok(await (await served.peer()).ask("Commit", interface=None))
        assert served.service.calls == [("commit",)]

    if os.geteuid():
        pytest.skip("the policy lets only root do so")
    with_server(tmp_path, test)


def test_a_call_that_wants_no_answer_is_done_and_gets_none(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        await peer.bus.send(
            Message(
                destination=names.NAME,
                path=names.PATH,
                interface=names.INTERFACE,
                member="Commit",
                flags=MessageFlag.NO_REPLY_EXPECTED,
            )
        )
        await asyncio.wait_for(served.service.called.wait(), 30)
        assert served.service.calls == [("commit",)]

    with_server(tmp_path, test)


def test_descriptors_that_come_along_are_closed(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        ours, theirs = os.pipe()
        reply = await peer.ask("Commit", "h", 0, unix_fds=[theirs])
        assert refused(reply)[0] == names.INVALID_ARGS
        os.close(theirs)
        os.set_blocking(ours, False)
        assert os.read(ours, 1) == b"", "somebody still has the other end"
        os.close(ours)

    with_server(tmp_path, test)


async def _start_waiting(served: Served, peer: Peer, count: int) -> list["asyncio.Task[Message]"]:
    tasks = [asyncio.ensure_future(peer.ask("Check")) for _ in range(count)]
    while sum(call == ("check",) for call in served.service.calls) < count:
        served.service.called.clear()
        await asyncio.wait_for(served.service.called.wait(), 30)
    return tasks


def test_who_lets_too_many_calls_wait_is_refused_and_others_are_not(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        gate = served.service.gates["check"] = asyncio.Event()
        peer, other = await served.peer(), await served.peer()
        waiting = await _start_waiting(served, peer, MOST_CALLS_PER_SENDER)
        assert refused(await peer.ask("Commit"))[0] == names.LIMITS_EXCEEDED
        ok(await other.ask("Commit"))
        gate.set()
        for task in waiting:
            ok(await task)
        ok(await peer.ask("Commit"))

    with_server(tmp_path, test)


def test_there_is_a_limit_to_all_calls_that_wait(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        gate = served.service.gates["check"] = asyncio.Event()
        tasks = []
        for number in range(1, MOST_CALLS // MOST_CALLS_PER_SENDER + 1):
            peer = await served.peer()
            tasks += [asyncio.ensure_future(peer.ask("Check")) for _ in range(MOST_CALLS_PER_SENDER)]
            while len(served.service.calls) < number * MOST_CALLS_PER_SENDER:
                served.service.called.clear()
                await asyncio.wait_for(served.service.called.wait(), 30)
        assert refused(await (await served.peer()).ask("Commit"))[0] == names.LIMITS_EXCEEDED
        gate.set()
        for task in tasks:
            ok(await task)

    with_server(tmp_path, test)


def test_a_caller_that_goes_away_does_not_disturb_others(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        gate = served.service.gates["check"] = asyncio.Event()
        gone, other = await served.peer(), await served.peer()
        waiting = await _start_waiting(served, gone, 1)
        await gone.close()
        await asyncio.gather(*waiting, return_exceptions=True)
        gate.set()
        ok(await other.ask("Commit"))

    with_server(tmp_path, test)


def test_the_history_is_shown_whatever_is_in_it(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.past = [{"error": "nul \0 and half \ud800 a pair", "long": "x" * 100_000}]
        (history,) = ok(await (await served.peer()).ask("GetHistory"))
        assert history[0]["error"] == "nul \\0 and half ? a pair"
        assert len(history[0]["long"]) < 5000

    with_server(tmp_path, test)


def test_control_maps_are_json(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        assert json.loads(ok(await (await served.peer()).ask("GetControlMaps"))[0]) == {"maps": []}

    with_server(tmp_path, test)


def test_every_error_of_the_client_is_in_the_table() -> None:
    known = set(failures.KINDS.values())
    ours = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ClientError)}
    assert ours - known == set()
