"""What the server tells without being asked: properties that changed, and signals about the update."""

import asyncio
import gc
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from client_bus import Peer, Served, with_server
from dbus_fast import MessageType
from dbus_fast.unpack import unpack_variants

from bistable.client.bus import names
from bistable.client.bus.ports import HolderView, ProgressView, SlotView, View
from bistable.client.bus.properties import GETTERS, LONGEST_TEXT, Shown, Throttle
from bistable.client.model import Point

OURS = f"type='signal',sender='{names.NAME}'"

FULL = View(
    state="paused-before-reboot",
    substate="ArtifactInstall_Leave_10",
    update_id="u1",
    artifact="release-2",
    current_artifact="release-1",
    held_at="reboot",
    held_by=("kiosk: a customer is here",),
    actions=("continue", "abort"),
    holders=(
        HolderView(who="kiosk", why="a customer", points=(Point.REBOOT, Point.COMMIT), mode="block"),
        HolderView(who="backup", why="runs", points=(Point.INSTALL,), mode="delay", until=99.2),
    ),
    progress=ProgressView(done=50, total=200, rate=12.5, left=12.0),
    reboot_required=True,
    slots=(
        SlotView(name="a", device="/dev/a", running=True, bootable=True, good=True, tries_left=None),
        SlotView(name="b", device="/dev/b", running=False, bootable=True, good=False, tries_left=3),
    ),
    last_result="failure",
    last_error_code="slot",
    last_error="cannot write: no",
    next_check=1234.5,
)


async def values(peer: Peer) -> dict[str, Any]:
    reply = await peer.ask("GetAll", "s", names.INTERFACE, interface=names.PROPERTIES)
    found: dict[str, Any] = unpack_variants(reply.body[0])
    return found


async def listening(served: Served) -> Peer:
    peer = await served.peer()
    await peer.listen(OURS)
    return peer


def changes(peer: Peer) -> list[dict[str, Any]]:
    return [unpack_variants(body[1]) for body in peer.signals("PropertiesChanged")]


async def everything(served: Served, peer: Peer) -> None:
    """Return when the peer has all that the server sent: an answer comes after it."""
    assert (await peer.ask("GetControlMaps")).message_type is MessageType.METHOD_RETURN


def test_all_that_is_seen_can_be_read(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.show(FULL)
        found = await values(await served.peer())
        assert found.pop("Version")
        assert found == {
            "State": "paused-before-reboot",
            "Substate": "ArtifactInstall_Leave_10",
            "UpdateId": "u1",
            "Artifact": "release-2",
            "CurrentArtifact": "release-1",
            "HeldAt": "reboot",
            "HeldBy": ["kiosk: a customer is here"],
            "Actions": ["continue", "abort"],
            "Holders": [
                {"who": "kiosk", "why": "a customer", "points": ["reboot", "commit"], "mode": "block"},
                {"who": "backup", "why": "runs", "points": ["install"], "mode": "delay", "until": 100},
            ],
            "Progress": {"bytes": 50, "total": 200, "percent": 25, "rate": 12.5, "left": 12.0},
            "RebootRequired": True,
            "Slots": [
                {"name": "a", "device": "/dev/a", "running": True, "bootable": True, "good": True},
                {
                    "name": "b",
                    "device": "/dev/b",
                    "running": False,
                    "bootable": True,
                    "good": False,
                    "tries_left": 3,
                },
            ],
            "LastResult": "failure",
            "LastErrorCode": "slot",
            "LastError": "cannot write: no",
            "NextCheck": 1235,
        }

    with_server(tmp_path, test)


@pytest.mark.parametrize("name", [*GETTERS, "Version"])
def test_a_property_can_be_read_alone(tmp_path: Path, name: str) -> None:
    async def test(served: Served) -> None:
        served.service.show(FULL)
        peer = await served.peer()
        reply = await peer.ask("Get", "ss", names.INTERFACE, name, interface=names.PROPERTIES)
        assert unpack_variants(reply.body[0]) == (await values(peer))[name]

    with_server(tmp_path, test)


def test_without_anything_to_say_properties_are_empty(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        found = await values(await served.peer())
        assert found.pop("Version")
        assert found.pop("State") == "idle"
        assert not any(found.values())

    with_server(tmp_path, test)


def test_only_what_changed_is_told(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.show(FULL)
        peer = await listening(served)
        served.service.show(replace(FULL, substate="another", reboot_required=False))
        served.service.show(replace(FULL, substate="another", reboot_required=False))
        await everything(served, peer)
        assert changes(peer) == [{"Substate": "another", "RebootRequired": False}]
        body = peer.signals("PropertiesChanged")[0]
        assert (body[0], body[2]) == (names.INTERFACE, [])

    with_server(tmp_path, test)


def test_what_is_the_same_when_shown_is_not_told(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.show(replace(FULL, next_check=10.2))
        peer = await listening(served)
        served.service.show(replace(FULL, next_check=10.9))
        await everything(served, peer)
        assert changes(peer) == []

    with_server(tmp_path, test)


def test_a_change_of_state_is_told_after_the_properties(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await listening(served)
        served.service.show(View(state="download", update_id="u1", substate="fetching"))
        await everything(served, peer)
        assert [message.member for message in peer.got[-2:]] == ["PropertiesChanged", "StateChanged"]
        assert peer.signals("StateChanged") == [["idle", "download", "fetching"]]

    with_server(tmp_path, test)


def test_that_an_update_is_held_is_told_once_for_each_point(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await listening(served)
        at_install = View(state="paused-before-install", update_id="u1", held_at="install", held_by=("kiosk: busy",))
        served.service.show(at_install)
        served.service.show(replace(at_install, held_by=("kiosk: busy", "backup: runs")))
        served.service.show(View(state="install", update_id="u1"))
        served.service.show(replace(at_install, state="paused-before-reboot", held_at="reboot"))
        await everything(served, peer)
        assert peer.signals("Held") == [["u1", "install", ["kiosk: busy"]], ["u1", "reboot", ["kiosk: busy"]]]
        assert peer.signals("StateChanged")[0] == ["idle", "paused-before-install", "kiosk: busy"]
        assert {"HeldBy": ["kiosk: busy", "backup: runs"]} in changes(peer)

    with_server(tmp_path, test)


def test_the_end_of_an_update_is_told_with_what_became_of_it(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.show(View(state="report", update_id="u1"))
        peer = await listening(served)
        ended = View(state="idle", last_result="failure", last_error_code="health", last_error="not healthy")
        served.service.show(ended)
        await everything(served, peer)
        assert peer.signals("Ended") == [["u1", "failure", "health", "not healthy"]]
        assert peer.signals("StateChanged") == [["report", "idle", "not healthy"]]

    with_server(tmp_path, test)


def test_the_end_is_told_when_another_update_follows_at_once(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.show(View(state="report", update_id="u1"))
        peer = await listening(served)
        served.service.show(View(state="gate-download", update_id="u2", last_result="success"))
        await everything(served, peer)
        assert peer.signals("Ended") == [["u1", "success", "", ""]]

    with_server(tmp_path, test)


def progress(done: int) -> View:
    return View(state="download", update_id="u1", progress=ProgressView(done=done, total=1000, rate=None, left=None))


def test_of_a_burst_of_progress_the_first_and_the_last_are_told(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await listening(served)
        for done in range(1001):
            served.service.show(progress(done))
        await peer.until(lambda message: message.member == "PropertiesChanged" and _percent(message.body) == 100)
        told = [one["Progress"]["bytes"] for one in changes(peer) if "Progress" in one]
        assert told == [0, 1000], "the first at once, the last after a while"

    with_server(tmp_path, test)


def _percent(body: list[Any]) -> Any:
    return unpack_variants(body[1]).get("Progress", {}).get("percent")


def test_the_end_of_progress_is_told_at_once(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.show(progress(1))
        served.service.show(progress(2))
        peer = await listening(served)
        served.service.show(progress(3))
        served.service.show(View(state="gate-install", update_id="u1"))
        await everything(served, peer)
        assert changes(peer) == [{"State": "gate-install", "Progress": {}}]

    with_server(tmp_path, test)


def test_other_changes_do_not_wait_for_the_progress(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.show(progress(1))
        served.service.show(progress(2))
        peer = await listening(served)
        served.service.show(replace(progress(3), substate="resuming"))
        await everything(served, peer)
        assert changes(peer) == [{"Substate": "resuming"}]

    with_server(tmp_path, test)


def test_a_throttle_lets_one_pass_in_each_interval() -> None:
    throttle = Throttle(0.25)
    passed = [tick / 100 for tick in range(201) if throttle.wait(tick / 100) == 0]
    assert len(passed) == 9  # at 0, and four in each of two seconds
    assert throttle.wait(2.1) == pytest.approx(0.15)


def test_texts_of_programs_are_shown_whatever_is_in_them(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await listening(served)
        words = "nul \0, half \ud800, " + "long " * 10_000
        served.service.show(View(state="idle", last_error=words, held_by=(words,)))
        served.service.show(View(state="idle", progress=ProgressView(done=-1, total=2**70, rate=1.0, left=None)))
        await everything(served, peer)
        told = changes(peer)[0]["LastError"]
        assert told.startswith("nul \\0, half ?, long")
        assert len(told) == LONGEST_TEXT

    with_server(tmp_path, test)


def test_two_who_watch_are_told_the_same(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        one, other = await listening(served), await listening(served)
        served.service.show(FULL)
        await everything(served, one)
        await everything(served, other)
        assert [message.body for message in one.got if message.sender != names.DRIVER] == [
            message.body for message in other.got if message.sender != names.DRIVER
        ]
        assert changes(one)

    with_server(tmp_path, test)


def test_ten_thousand_changes_do_not_grow_memory(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await listening(served)

        async def change(times: int) -> int:
            for number in range(times):
                shown = FULL if number % 2 else View(state="idle", last_result=f"{number:09}")
                served.service.show(replace(shown, progress=FULL.progress))
                if number % 100 == 99:
                    await everything(served, peer)
                    peer.got.clear()
            gc.collect()
            return sys.getallocatedblocks()

        first = await change(1000)
        last = await change(10_000)
        # Were one change in ten to leave something behind, it would be seen.
        assert last - first < 1000

    with_server(tmp_path, test)


def test_a_server_without_connection_is_silent(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        await served.server.stop()
        served.service.show(FULL)
        served.service.logged_in("t", "u")
        await asyncio.wait_for(served.server.wait_disconnected(), 30)

    with_server(tmp_path, test)


def test_changes_are_against_what_was_told_and_not_what_was_last() -> None:
    shown = Shown(progress(1))
    assert shown.changes(progress(2), progress=False) == {}
    assert set(shown.changes(progress(2), progress=True)) == {"Progress"}
    assert shown.changes(progress(2), progress=True) == {}


def test_a_bus_that_takes_nothing_for_a_while_loses_nothing_and_keeps_the_connection(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        peer = await listening(served)
        with served.bus.asleep():
            for number in range(1000):
                served.service.show(replace(FULL, state="install" if number % 2 else "download"))
        await peer.until(lambda message: message.member == "StateChanged" and message.body[1] == "install")
        await everything(served, peer)
        assert sum(message.member == "StateChanged" for message in peer.got) == 1000

    with_server(tmp_path, test)
