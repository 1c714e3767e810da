"""The server is gone, refuses or says nothing: what waits, waits on; what was done is told later, or to another one."""

import json
from typing import Any

import pytest
from client_answers import dropping, page, refusing, slow
from client_server import FakeServer
from client_service import POLL, Stations, control_map, status_of, steps
from client_service_time import DAY, LIFE, let_go, pass_time, pass_time_until
from client_service_updates import MAPPED, SUCCESS, begun_held, check_statuses

from bistable.client.model import Point


def taken_back(server: FakeServer) -> None:
    """Have a server that was gone be there again, and know nothing of what it did not answer."""
    server.statuses.clear()
    server.finished.clear()
    server.heal()


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
