"""An update of the service is aborted, by whomever, while it is held or at work: only what was done is undone."""

import pytest
from client_answers import refusing
from client_service import POLL, Running, Station, Stations, control_map, status_of, steps
from client_service_updates import BACK, BACK_AGAIN, FAILED, MAPPED, SUCCESS, begun_held, check_statuses, ending_of

from bistable.client.errors import UsageError
from bistable.client.model import Point


def over_dbus(station: Station, _: Point) -> None:
    assert station.running is not None
    station.running.run(station.running.service.abort("", "somebody said so"))


def by_the_map(station: Station, _: Point) -> None:
    """Have the server not know the deployment any more."""
    station.servers[0].gone = True
    assert station.running is not None
    station.running.put_forward(POLL)


def by_fail(station: Station, point: Point) -> None:
    station.servers[0].deployment.control_map = control_map(**{point.value: "fail"})  # type: ignore[union-attr]
    assert station.running is not None
    station.running.put_forward(POLL)


def by_the_next_status(station: Station, point: Point) -> None:
    server = station.servers[0]
    server.aborts_at = {"installing", "rebooting"}
    server.deployment.control_map = control_map(**{point.value: "force_continue"})  # type: ignore[union-attr]
    assert station.running is not None
    station.running.put_forward(POLL)


ENDS = {"D-Bus": over_dbus, "404": by_the_map, "fail": by_fail, "409": by_the_next_status}


@pytest.mark.parametrize("point", MAPPED)
@pytest.mark.parametrize("how", ENDS)
def test_a_held_update_is_aborted_and_only_what_was_done_is_undone(stations: Stations, how: str, point: Point) -> None:
    station = stations.station()
    begun_held(station, "server", point)
    ENDS[how](station, point)
    assert station.until_over() == "aborted"
    assert station.calls() == ending_of(point)
    assert steps(station.servers[0])[-1] == "failure" or how == "409"
    assert station.reboots == 0
    check_statuses(station)


def test_a_server_without_maps_ends_a_held_update_as_well(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "inhibitor", Point.COMMIT)
    station.servers[0].aborts_at = {"pause_before_committing"}
    assert station.running is not None
    station.running.put_forward(POLL)
    assert station.until_over() == "aborted"
    assert station.calls() == ending_of(Point.COMMIT)


def test_a_download_that_is_held_is_aborted_without_a_trace(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "inhibitor", Point.DOWNLOAD)
    over_dbus(station, Point.DOWNLOAD)
    assert station.until_over() == "aborted"
    assert station.calls() == []


@pytest.mark.parametrize(
    ("status", "number", "point"),
    [
        ("downloading", 0, Point.DOWNLOAD),
        ("installing", 0, Point.INSTALL),
        ("rebooting", 0, Point.REBOOT),
        ("installing", 1, Point.COMMIT),
    ],
)
def test_a_status_that_is_answered_with_409_ends_the_update_before_the_step(
    stations: Stations, status: str, number: int, point: Point
) -> None:
    station = stations.station()
    station.offer()
    server = station.servers[0]
    server.fail(
        "status",
        refusing(409, "aborted"),
        skip=number,
        when=lambda asked: status_of(asked) == status and "substate" not in asked.json,
    )
    station.serve()
    assert station.until_over() == "aborted"
    assert station.calls() == ending_of(point)
    check_statuses(station)


@pytest.mark.parametrize(
    ("call", "then"),
    [
        ("Download", ["module Download", "module Cleanup"]),
        ("ArtifactInstall_Enter", [*SUCCESS[:3], "module Cleanup"]),
        ("ArtifactInstall", [*SUCCESS[:5], *BACK, *FAILED, "module Cleanup"]),
        ("ArtifactReboot", [*SUCCESS[:9], *BACK, *BACK_AGAIN, *FAILED, "module Cleanup"]),
    ],
)
def test_an_abort_during_a_call_stops_the_update_at_the_next_place(
    stations: Stations, call: str, then: list[str]
) -> None:
    station = stations.station()
    station.offer()
    with station.meeting(call) as go_on:
        running = station.serve()
        station.until_called(call)
        running.run(running.service.abort("", "somebody said so"))
        go_on()
    assert station.until_over() == "aborted"
    assert [one for one in station.calls() if "Error" not in one] == then
    assert steps(station.servers[0])[-1] == "failure"


def test_an_abort_while_words_are_told_is_not_lost(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    running: list[Running] = []

    def abort(_id: str, _status: str, words: str | None) -> None:
        if words == "Executing script: ArtifactInstall_Enter_00":
            station.servers[0].on_status = lambda *_: None
            running[0].run(running[0].service.abort("", "somebody said so"))

    station.servers[0].on_status = abort
    running.append(station.serve())
    assert station.until_over() == "aborted"
    assert "module ArtifactCommit" not in station.calls()


def test_what_is_permanent_is_not_aborted(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    with station.meeting("ArtifactCommit_Leave") as go_on:
        running = station.serve()
        station.until_called("ArtifactCommit_Leave")
        with pytest.raises(UsageError, match="after-commit"):
            running.run(running.service.abort("", "somebody said so"))
        go_on()
    assert station.until_over() == "success"
