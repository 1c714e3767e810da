"""The service, the device or the client itself is started anew: an update that waits, waits on, and goes on once."""

import json

import pytest
from client_service import POLL, Stations, control_map, everywhere, steps, until
from client_service_time import held_by_an_application, hold, let_go, pass_time_until
from client_service_updates import MAPPED, SUCCESS, begun_held, check_statuses

from bistable.client.daemon.course import RETURN_PATIENCE
from bistable.client.machine import State
from bistable.client.maps import KEEP_KEY
from bistable.client.model import Point
from bistable.client.store import Store


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
