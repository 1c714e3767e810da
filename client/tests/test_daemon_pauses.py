"""Whoever holds an update of the service has it wait at each point, and lets it go on."""

import pytest
from client_service import APPLICATION, PAUSE_STATUS, Stations, everywhere, steps
from client_service_updates import HOLDERS, MAPPED, SUCCESS, UNTIL, begun_held, by_application, check_statuses

from bistable.client.machine import State
from bistable.client.model import Point


@pytest.mark.parametrize("point", MAPPED)
@pytest.mark.parametrize("who", HOLDERS)
def test_whoever_holds_an_update_has_it_wait_and_lets_it_go_on(stations: Stations, who: str, point: Point) -> None:
    station = stations.station()
    let_go = begun_held(station, who, point)
    (server,) = station.servers
    assert station.calls() == SUCCESS[: UNTIL[point]]
    server.wait_for(lambda one: any(words and words.startswith("held by ") for _, words in one.statuses))
    assert steps(server)[-1] == PAUSE_STATUS[point]
    let_go()
    assert station.until_over() == "success"
    # Scripts that begin a step have run once: it was paused before them.
    assert station.calls() == SUCCESS
    assert steps(server).count(PAUSE_STATUS[point]) == 1
    check_statuses(station)


def test_a_download_can_be_held_by_an_application(stations: Stations) -> None:
    station = stations.station()
    let_go = begun_held(station, "inhibitor", Point.DOWNLOAD)
    assert station.servers[0].of("artifact") == []
    let_go()
    assert station.until_over() == "success"


def test_an_update_is_held_at_every_point_one_after_the_other(stations: Stations) -> None:
    station = stations.station()
    station.offer(control_map=everywhere(MAPPED))
    running = station.serve()
    for point in MAPPED:
        station.until_held(point)
        running.run(running.service.proceed("", point, force=True))
    assert station.until_over() == "success"
    assert steps(station.servers[0]) == [
        "downloading",
        *("pause_before_installing", "installing", "pause_before_rebooting", "rebooting"),
        *("pause_before_committing", "installing", "success"),
    ]
    assert station.calls() == SUCCESS


def test_a_pause_that_is_asked_for_during_the_download_holds(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    with station.meeting("Download") as go_on:
        running = station.serve()
        station.until(lambda view: view.state == "download")
        running.run(running.service.pause([Point.INSTALL, Point.COMMIT], "", who="user kiosk"))
        go_on()
    assert station.until_held(Point.INSTALL).held_by == ("user kiosk: asked for a pause",)
    running.run(running.service.proceed("", Point.COMMIT, force=False))
    running.run(running.service.proceed("", Point.INSTALL, force=False))
    # The pause before the commit was taken back before it came to it.
    assert station.until_over() == "success"


def test_whoever_installs_something_by_hand_can_have_it_stop(stations: Stations) -> None:
    station = stations.station(servers=0)
    path = station.module("mod", "release-1", {"a": b"1"})
    running = station.serve()
    running.run(running.service.install(str(path), "job", [Point.INSTALL, Point.COMMIT]))
    for point in (Point.INSTALL, Point.COMMIT):
        assert station.until_held(point).held_by == ("the one who began it: asked for this stop",)
        running.run(running.service.proceed("job", point, force=False))
    assert station.until_over() == "success"


@pytest.mark.parametrize("who", ["inhibitor", "server"])
def test_continue_does_not_go_over_those_who_are_not_asked_and_force_does(stations: Stations, who: str) -> None:
    station = stations.station()
    begun_held(station, who, Point.INSTALL)
    running = station.running
    assert running is not None
    count = len(running.views)
    running.run(running.service.proceed("", Point.INSTALL, force=False))
    station.until(lambda view: len(running.views) > count and view.held_at == "install")
    assert station.calls() == SUCCESS[:2]
    running.run(running.service.proceed("", Point.INSTALL, force=True))
    assert station.until_over() == "success"


def test_continue_goes_over_the_map_of_an_application(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "application", Point.INSTALL)
    assert station.running is not None
    station.running.run(station.running.service.proceed("", Point.INSTALL, force=False))
    assert station.until_over() == "success"


def test_who_comes_first_and_who_later_are_both_named(stations: Stations) -> None:
    station = stations.station()
    let_go = begun_held(station, "inhibitor", Point.INSTALL)
    by_application(station, Point.INSTALL)
    view = station.until(lambda view: len(view.held_by) == 2)
    assert view.held_by == (
        "kiosk: a customer",
        f"an application: update control map {APPLICATION}, priority 0: pause",
    )
    let_go()
    view = station.until(lambda view: len(view.held_by) == 1)
    station.servers[0].wait_for(lambda one: one.statuses[-1][1] == f"held by {view.held_by[0]}")
    assert station.state() is State.PAUSED_INSTALL
