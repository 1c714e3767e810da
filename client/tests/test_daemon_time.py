"""Time passes, the server goes away, the service and the device start again: what waits, waits on."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from client_answers import dropping, page, refusing, slow
from client_server import DEPLOYMENT, Deployment, FakeServer
from client_service import (
    POLL,
    STATE_KEYS,
    Station,
    Stations,
    control_map,
    everywhere,
    leads,
    status_of,
    steps,
    until,
)
from client_service_updates import SUCCESS, begun_held, check_statuses, ending_of

from bistable.client.bus.ports import Held
from bistable.client.daemon.course import BUSY_PATIENCE, RETURN_PATIENCE, STORE_PATIENCE
from bistable.client.deployment.locks import leading_alone
from bistable.client.machine import State
from bistable.client.maps import KEEP_KEY
from bistable.client.model import Point
from bistable.client.store import Store

MAPPED = [Point.INSTALL, Point.REBOOT, Point.COMMIT]
LIFE = 2 * POLL
DAY = 86_400.0


@pytest.fixture
def stations(tmp_path: Path) -> Iterator[Stations]:
    with Stations(tmp_path) as made:
        yield made


def let_go(station: Station, point: Point) -> None:
    deployment = station.servers[0].deployment
    assert deployment is not None
    deployment.control_map = control_map(**{point.value: "force_continue"})


def pass_time(station: Station, seconds: float) -> None:
    """Let time pass for a held update, and wait until it waits again."""
    assert station.running is not None
    station.running.put_forward(seconds)
    station.until_held(Point(station.running.view().held_at))


def taken_back(server: FakeServer) -> None:
    """Have a server that was gone be there again, and know nothing of what it did not answer."""
    server.statuses.clear()
    server.finished.clear()
    server.heal()


# --- the server goes away


@pytest.mark.parametrize("point", MAPPED)
@pytest.mark.parametrize("fault", [refusing(503), dropping(0), page()], ids=["503", "breaks off", "captive portal"])
def test_a_pause_holds_while_the_server_is_gone_and_ends_when_it_is_back(
    stations: Stations, fault: Any, point: Point
) -> None:
    station = stations.station()
    begun_held(station, "server", point)
    (server,) = station.servers
    server.fail("any", fault, times=-1)
    for seconds in (POLL, LIFE, DAY):
        pass_time(station, seconds)
    asked = len(server.of("map"))
    server.heal()
    let_go(station, point)
    pass_time_until(station, lambda: len(server.of("map")) > asked)
    assert station.until_over() == "success"
    assert station.calls() == SUCCESS
    check_statuses(station)


def pass_time_until(station: Station, true: Any) -> None:
    """Let an hour pass, again and again, until something is so."""

    def another() -> bool:
        assert station.running is not None
        if not true():
            station.running.put_forward(POLL)
        return bool(true())

    until(another)


@pytest.mark.parametrize(("policy", "result"), [("continue", "success"), ("fail", "aborted")])
def test_what_a_lost_server_means_can_be_set(stations: Stations, policy: str, result: str) -> None:
    station = stations.station(more=f'when-offline = "{policy}"')
    begun_held(station, "server", Point.COMMIT)
    station.servers[0].fail("any", refusing(503), times=-1)
    assert station.running is not None
    pass_time_until(station, station.results)
    assert station.results() == [result]


def test_an_application_is_heard_while_a_server_does_not_answer(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "server", Point.INSTALL)
    (server,) = station.servers
    server.fail("map", slow(1, 60.0), times=-1)
    running = station.running
    assert running is not None
    running.put_forward(POLL)
    server.wait_for(lambda one: len(one.of("map")) == 2)
    words = json.dumps(control_map("0c13e0a8-7e6a-4c7f-9c33-58e0d3d8b7f2", 1, install="force_continue"))
    server.heal()
    running.run(running.service.set_control_map(words))
    assert station.until_over() == "success"


def test_a_server_that_is_gone_at_every_step_costs_nothing(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    (server,) = station.servers
    server.fail("status", refusing(503), times=-1)
    station.serve()
    assert station.until_over() == "success"
    taken_back(server)
    pass_time_until(station, lambda: bool(server.statuses))
    assert steps(server) == ["success"]


@pytest.mark.parametrize("fails", [(), ("ArtifactInstall",)], ids=["success", "failure"])
def test_the_result_is_told_later_also_by_another_process_and_as_what_it_was(
    stations: Stations, fails: tuple[str, ...]
) -> None:
    station = stations.station()
    station.offer()
    station.fail(*fails)
    (server,) = station.servers
    server.fail("status", dropping(0), times=-1, when=lambda asked: status_of(asked) in {"success", "failure"})
    station.serve()
    result = station.until_over()
    station.restart()
    taken_back(server)
    pass_time_until(station, lambda: bool(server.statuses))
    assert steps(server)[-1] == result == ("failure" if fails else "success")
    # It is offered again until the server knows; it is not done again.
    assert station.calls().count("module Download") == 1


def test_polls_that_fail_are_made_more_and_more_rarely(stations: Stations) -> None:
    station = stations.station()
    (server,) = station.servers
    server.fail("any", refusing(503), times=-1)
    running = station.serve()
    waits: list[float] = []
    for _ in range(8):
        view = running.wait(lambda view: view.next_check is not None and view.next_check > station.clock.now())
        assert view is not None
        assert view.next_check is not None
        waits.append(view.next_check - station.clock.now())
        running.put_forward(waits[-1])
    assert waits[0] <= 60 < waits[5] <= 240
    assert waits[5] > waits[2]


def test_a_server_that_refuses_the_inventory_is_asked_for_updates_all_the_same(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    station.servers[0].fail("inventory", refusing(400), times=-1)
    station.serve()
    assert station.until_over() == "success"


def test_a_device_that_is_not_accepted_asks_again(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    (server,) = station.servers
    server.accepts = False
    station.serve()
    server.wait_for(lambda one: bool(one.logins))
    server.accepts = True
    pass_time_until(station, lambda: bool(server.statuses))
    assert station.until_over() == "success"


def test_another_server_takes_over(stations: Stations) -> None:
    station = stations.station(servers=2)
    station.offer()
    first, second = station.servers
    first.fail("any", dropping(0), times=-1)
    station.serve()
    assert station.until_over() == "success"
    assert steps(second) == ["downloading", "installing", "rebooting", "installing", "success"]
    assert first.statuses == []


def test_another_server_takes_over_in_the_middle_of_an_update(stations: Stations) -> None:
    station = stations.station(servers=2)
    station.offer()
    first, second = station.servers
    first.on_status = lambda _id, status, _words: (
        first.fail("any", dropping(0), times=-1) if status == "installing" else None
    )
    station.serve()
    assert station.until_over() == "success"
    assert steps(first)[-1] == "installing"
    assert steps(second)[-1] == "success"


# --- restarts


@pytest.mark.parametrize("point", MAPPED)
@pytest.mark.parametrize("how", ["restart", "power cut"])
def test_a_pause_survives_a_restart_and_a_power_cut(stations: Stations, how: str, point: Point) -> None:
    station = stations.station()
    station.offer(control_map=everywhere(MAPPED))
    station.serve()
    for earlier in MAPPED[: MAPPED.index(point)]:
        station.until_held(earlier)
        assert station.running is not None
        station.running.run(station.running.service.proceed("", earlier, force=True))
    station.until_held(point)
    before = station.calls()
    for _ in range(2):
        station.power_cut() if how == "power cut" else station.restart()
        view = station.until_held(point)
        assert "the server: update control map" in view.held_by[0]
    assert station.calls() == before
    deployment = station.servers[0].deployment
    assert deployment is not None
    deployment.control_map = control_map()
    assert station.running is not None
    pass_time_until(station, station.results)
    assert station.results() == ["success"]
    assert station.calls() == SUCCESS
    check_statuses(station)


@pytest.mark.parametrize("point", MAPPED)
def test_a_new_root_file_system_survives_power_cuts_in_its_pauses(stations: Stations, point: Point) -> None:
    station = stations.station()
    station.offer_rootfs(control_map=control_map(**{point.value: "pause"}))
    station.serve()
    station.until_held(point)
    reboots = station.reboots
    for _ in range(4):
        station.power_cut()
        station.until_held(point)
    assert station.reboots == reboots
    let_go(station, point)
    pass_time_until(station, lambda: station.results() or station.reboots > reboots)
    assert station.until_over() == "success"
    assert station.reboots == 1
    assert station.running is not None
    station.until(lambda view: bool(view.slots))


def test_a_pause_survives_a_change_of_the_client(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "server", Point.COMMIT)
    station.stop()
    with Store.open(station.data) as store:
        text = store.record()
        assert text is not None
        record = {**json.loads(text), "invented_later": {"what": [1, 2]}, "another": None}
        record["passes"] = [*record["passes"], "some-later-point"]
        store.save_record(json.dumps(record))
        kept = store.value(KEEP_KEY)
        assert kept is not None
        store.keep_value(KEEP_KEY, json.dumps({**json.loads(kept), "invented_later": 1}))
    station.serve()
    station.until_held(Point.COMMIT)
    let_go(station, Point.COMMIT)
    assert station.running is not None
    station.running.put_forward(POLL)
    assert station.until_over() == "success"


def test_a_state_of_a_later_client_goes_on_from_the_one_it_names(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "server", Point.INSTALL)
    station.stop()
    with Store.open(station.data) as store:
        text = store.record()
        assert text is not None
        later = {**json.loads(text), "state": "a-later-state", "state_if_unknown": State.GATE_INSTALL.value}
        store.save_record(json.dumps(later))
    station.serve()
    station.until_held(Point.INSTALL)


@pytest.mark.parametrize(
    "call",
    [
        "Download",
        "ArtifactInstall",
        "ArtifactInstall_Enter",
        "ArtifactReboot",
        "ArtifactCommit",
        "ArtifactCommit_Leave",
    ],
)
def test_the_end_of_the_service_during_a_call_waits_for_the_call(stations: Stations, call: str) -> None:
    station = stations.station()
    station.offer()
    with station.meeting(call) as go_on:
        running = station.serve()
        station.until_called(call)
        assert not running.run(running.service.close(0))
        go_on()
    until(lambda: not running.do(lambda service: service._work._jobs))
    running.end()
    station.running = None
    station.serve()
    assert station.until_over() in {"success", "failure"}
    assert (station.results()[0] == "failure") == (call == "ArtifactInstall")
    assert steps(station.servers[0])[-1] == station.results()[0]


# --- clocks


def test_a_clock_on_the_wall_that_jumps_changes_nothing(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "application", Point.INSTALL)
    for jump in (10 * 365 * DAY, -50 * 365 * DAY):
        station.clock.wall_ahead += jump
        pass_time(station, 1.0)
    assert station.running is not None
    station.running.put_forward(LIFE)
    # An expired map of an application that said nothing about that fails the update, as it always did.
    assert station.until_over() == "aborted"


def test_the_map_of_an_application_expires_unless_it_is_sent_again(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "application", Point.INSTALL)
    running = station.running
    assert running is not None
    words = json.dumps(
        control_map("0c13e0a8-7e6a-4c7f-9c33-58e0d3d8b7f2", install={"action": "pause", "on_map_expire": "continue"})
    )
    for _ in range(4):
        seconds = running.run(running.service.set_control_map(words))
        pass_time(station, seconds)
    running.put_forward(LIFE)
    assert station.until_over() == "success"


def test_the_server_is_asked_at_each_poll_interval_of_a_pause(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "server", Point.INSTALL)
    (server,) = station.servers
    for count in (2, 3, 4):
        assert len(server.of("map")) == count - 1
        pass_time(station, POLL)
        server.wait_for(lambda one, count=count: len(one.of("map")) == count)  # type: ignore[misc]
        station.until_held(Point.INSTALL)


def test_a_hold_with_a_time_limit_ends_by_itself(stations: Stations) -> None:
    station = stations.station()
    running = station.serve()
    running.wait(lambda view: view.next_check is not None)
    running.do(lambda service: service.inhibit([Point.INSTALL], "kiosk", "a film", "delay", 300.0))
    station.offer()
    running.put_forward(POLL)
    # The time of the hold went by as well.
    assert station.until_over() == "success"
    running.do(lambda service: service.inhibit([Point.INSTALL], "kiosk", "a film", "delay", 300.0))
    station.servers[0].deployment = Deployment(id=DEPLOYMENT.replace("1", "7"))
    running.run(running.service.check())
    station.until_held(Point.INSTALL)
    running.put_forward(301.0)
    assert station.until_over(2) == "success"


# --- others at the device


def test_a_command_at_the_device_keeps_the_service_waiting_and_not_more(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "inhibitor", Point.INSTALL)
    running = station.running
    assert running is not None
    with leading_alone(station.data):
        count = len(running.views)
        running.run(running.service.proceed("", Point.INSTALL, force=True))
        until(lambda: running.do(lambda service: not leads(service)))
        assert station.state() is State.PAUSED_INSTALL
        assert len(running.views) >= count
    running.put_forward(BUSY_PATIENCE)
    assert station.until_over() == "success"


def test_an_abort_that_found_a_command_at_work_does_not_come_by_surprise(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "inhibitor", Point.INSTALL)
    running = station.running
    assert running is not None
    with leading_alone(station.data):
        running.run(running.service.abort("", "somebody said so"))
        until(lambda: running.do(lambda service: not leads(service)))
    running.put_forward(BUSY_PATIENCE)
    assert station.until_over() == "aborted"
    assert station.calls() == ending_of(Point.INSTALL)


def test_a_store_that_cannot_be_written_is_tried_again(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "inhibitor", Point.INSTALL)
    running = station.running
    assert running is not None
    with Store.open(station.data) as store, store.transaction():
        running.run(running.service.proceed("", Point.INSTALL, force=True))
        until(lambda: running.do(lambda service: not leads(service) and service._work._timer is not None))
    running.put_forward(STORE_PATIENCE)
    assert station.until_over() == "success"


# --- the inventory


def test_the_inventory_is_sent_when_it_is_another_and_after_an_update(stations: Stations) -> None:
    station = stations.station()
    (server,) = station.servers
    station.program("inventory/bistable-inventory-test", "#!/bin/sh\ncat '@/shown'\n")
    (station.place / "shown").write_text("seen=1\n")
    running = station.serve()
    server.wait_for(lambda one: len(one.of("next")) == 1)

    def sent() -> list[dict[str, str]]:
        return [{one["name"]: one["value"] for one in asked.json} for asked in server.of("inventory")]

    assert sent()[0]["artifact_name"] == "release-0"
    for count in (2, 3):
        running.put_forward(28_800)
        server.wait_for(lambda one, count=count: len(one.of("next")) >= count)  # type: ignore[misc]
        running.wait(lambda view: view.next_check is not None and view.next_check > station.clock.now())
    assert len(sent()) == 1
    (station.place / "shown").write_text("seen=2\n")
    running.put_forward(28_800)
    server.wait_for(lambda one: len(one.of("inventory")) == 2)
    assert sent()[-1]["seen"] == "2"
    station.offer()
    running.run(running.service.check())
    station.until_over()
    server.wait_for(lambda one: len(one.of("inventory")) == 3)
    assert sent()[-1]["artifact_name"] == "release-1"
    running.run(running.service.send_inventory())
    assert len(sent()) == 4


def test_state_keys_are_those_of_points() -> None:
    assert list(STATE_KEYS) == MAPPED
    assert replace(Deployment(), id=DEPLOYMENT) == Deployment()


def hold(station: Station, point: Point) -> Held:
    """Have an application hold updates at a point."""
    assert station.running is not None
    return station.running.do(lambda service: service.inhibit([point], "kiosk", "a film", "block", None))


def held_by_an_application(stations: Stations) -> Station:
    """Return a station whose update an application holds before the installation."""
    station = stations.station()
    station.serve()
    station.until(lambda view: view.state == "idle")
    hold(station, Point.INSTALL)
    station.offer()
    pass_time_until(station, lambda: station.state() is State.PAUSED_INSTALL)
    return station


def test_who_held_an_update_has_time_to_come_back_after_a_restart(stations: Stations) -> None:
    station = held_by_an_application(stations)
    station.restart()
    station.until_held(Point.INSTALL)
    assert station.running is not None
    station.running.put_forward(RETURN_PATIENCE / 2)
    again = hold(station, Point.INSTALL)
    station.running.put_forward(RETURN_PATIENCE)
    view = station.until(lambda view: bool(view.held_by))
    assert (view.held_at, view.held_by) == ("install", ("kiosk: a film",))
    again.release()
    pass_time_until(station, station.results)
    assert station.results() == ["success"]


def test_a_pause_that_nobody_comes_back_to_ends(stations: Stations) -> None:
    station = held_by_an_application(stations)
    station.restart()
    station.until_held(Point.INSTALL)
    pass_time_until(station, station.results)
    assert station.results() == ["success"]


def test_who_holds_a_paused_update_as_well_is_shown_at_once(stations: Stations) -> None:
    station = held_by_an_application(stations)
    assert station.running is not None
    second = station.running.do(lambda service: service.inhibit([Point.INSTALL], "backup", "runs", "block", None))
    station.until(lambda view: view.held_by == ("kiosk: a film", "backup: runs"))
    second.release()
    station.until(lambda view: view.held_by == ("kiosk: a film",))
