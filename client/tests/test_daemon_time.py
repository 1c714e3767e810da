"""Time passes at the device: clocks jump, what is limited ends, others are at work, and the inventory is sent."""

import json
from dataclasses import replace

from client_server import DEPLOYMENT, Deployment
from client_service import POLL, STATE_KEYS, Stations, control_map, leads, until
from client_service_time import DAY, LIFE, held_by_an_application, pass_time
from client_service_updates import MAPPED, begun_held, ending_of

from bistable.client.daemon.course import BUSY_PATIENCE, STORE_PATIENCE
from bistable.client.deployment.locks import leading_alone
from bistable.client.machine import State
from bistable.client.model import Point
from bistable.client.store import Store

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


def test_who_holds_a_paused_update_as_well_is_shown_at_once(stations: Stations) -> None:
    station = held_by_an_application(stations)
    assert station.running is not None
    second = station.running.do(lambda service: service.inhibit([Point.INSTALL], "backup", "runs", "block", None))
    station.until(lambda view: view.held_by == ("kiosk: a film", "backup: runs"))
    second.release()
    station.until(lambda view: view.held_by == ("kiosk: a film",))


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
