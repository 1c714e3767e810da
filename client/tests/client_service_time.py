"""Time that passes for an update of the service that is held, and an application that holds one."""

from typing import Any

from client_service import POLL, Station, Stations, control_map, until

from bistable.client.bus.ports import Held
from bistable.client.machine import State
from bistable.client.model import Point

LIFE = 2 * POLL
"""Seconds that a control map lives, if nothing else is set."""

DAY = 86_400.0


def let_go(station: Station, point: Point) -> None:
    deployment = station.servers[0].deployment
    assert deployment is not None
    deployment.control_map = control_map(**{point.value: "force_continue"})


def pass_time(station: Station, seconds: float) -> None:
    """Let time pass for a held update, and wait until it waits again."""
    assert station.running is not None
    station.running.put_forward(seconds)
    station.until_held(Point(station.running.view().held_at))


def pass_time_until(station: Station, true: Any) -> None:
    """Let an hour pass, again and again, until something is so."""

    def another() -> bool:
        assert station.running is not None
        if not true():
            station.running.put_forward(POLL)
        return bool(true())

    until(another)


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
