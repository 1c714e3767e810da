"""The service leads a deployment: it is done and told step by step, or undone where it fails."""

from typing import Any

import pytest
from client_server import DEPLOYMENT
from client_service import Stations, pause_state, steps, until
from client_service_updates import BACK, BACK_AGAIN, FAILED, SUCCESS, begun_held, check_statuses

from bistable.client.bus.failures import NotHeldError
from bistable.client.errors import BusyError, NothingToDoError, UsageError
from bistable.client.machine import PAUSES, State
from bistable.client.model import Point


def test_a_deployment_is_done_and_told_step_by_step(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    station.serve()
    assert station.until_over() == "success"
    (server,) = station.servers
    assert steps(server) == ["downloading", "installing", "rebooting", "installing", "success"]
    assert station.calls() == SUCCESS
    check_statuses(station)


def test_what_scripts_run_is_told_with_the_status_of_the_step(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    station.serve()
    station.until_over()
    told = [(status, words) for status, words in station.servers[0].statuses if words is not None]
    assert told[0] == ("installing", "Executing script: ArtifactInstall_Enter_00")
    assert {words.rsplit(" ", 1)[-1].removesuffix("_00"): status for status, words in told} == {
        "ArtifactInstall_Enter": "installing",
        "ArtifactInstall_Leave": "installing",
        "ArtifactReboot_Enter": "rebooting",
        "ArtifactReboot_Leave": "rebooting",
        "ArtifactCommit_Enter": "installing",
        "ArtifactCommit_Leave": "installing",
    }


def test_the_device_is_rebooted_once_into_a_new_root_file_system(stations: Stations) -> None:
    station = stations.station()
    station.offer_rootfs()
    station.serve()
    assert station.until_over() == "success"
    assert station.reboots == 1
    assert station.running is not None
    slots = station.until(lambda view: bool(view.slots) and view.current_artifact == "release-1").slots
    assert [slot.name for slot in slots if slot.running] == ["b"]
    assert steps(station.servers[0]) == ["downloading", "installing", "rebooting", "installing", "success"]


def test_a_root_file_system_that_does_not_come_up_is_a_failure_and_tried_once(stations: Stations) -> None:
    station = stations.station()
    station.offer_rootfs()
    station.break_slot("b")
    station.serve()
    assert station.until_over() == "failure"
    assert station.reboots == 1
    assert steps(station.servers[0])[-1] == "failure"
    check_statuses(station)


def test_a_server_that_knows_no_maps_is_asked_in_its_own_way(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    station.servers[0].ways = {"v1 GET"}
    station.serve()
    assert station.until_over() == "success"


# --- failures


FAILING = {
    "Download": (["module Download", "module Cleanup"], "failure"),
    "SupportsRollback": (["module Download", "module SupportsRollback", "module Cleanup"], "failure"),
    "ArtifactInstall_Enter": ([*SUCCESS[:3], *BACK, *FAILED, "module Cleanup"], "failure"),
    "ArtifactInstall": ([*SUCCESS[:4], *BACK, *FAILED, "module Cleanup"], "failure"),
    "NeedsArtifactReboot": ([*SUCCESS[:5], *BACK, *FAILED, "module Cleanup"], "failure"),
    "ArtifactInstall_Leave": ([*SUCCESS[:6], *BACK, *FAILED, "module Cleanup"], "failure"),
    "ArtifactReboot": ([*SUCCESS[:8], *BACK, *BACK_AGAIN, *FAILED, "module Cleanup"], "failure"),
    "ArtifactVerifyReboot": ([*SUCCESS[:9], *BACK, *BACK_AGAIN, *FAILED, "module Cleanup"], "failure"),
    "ArtifactCommit": ([*SUCCESS[:12], *BACK, *BACK_AGAIN, *FAILED, "module Cleanup"], "failure"),
    "ArtifactCommit_Leave": ([*SUCCESS[:13], "module Cleanup"], "failure"),
    "Cleanup": (SUCCESS, "success"),
}


@pytest.mark.parametrize("call", FAILING)
def test_what_fails_is_undone_and_told(stations: Stations, call: str) -> None:
    station = stations.station()
    station.offer()
    station.fail(call)
    station.serve()
    calls, result = FAILING[call]
    assert station.until_over() == result
    assert [one for one in station.calls() if "_Error" not in one] == calls
    assert steps(station.servers[0])[-1] == result
    check_statuses(station)


def test_the_log_of_a_failure_is_sent_and_says_why(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    station.fail("ArtifactInstall")
    station.serve()
    station.until_over()
    server = station.servers[0]
    server.wait_for(lambda one: DEPLOYMENT in one.logs)
    messages = [line["message"] for line in server.logs[DEPLOYMENT]]
    assert any("ArtifactInstall fails here" in one for one in messages), messages


# --- what can be called, and what not


def test_calls_that_make_no_sense_are_refused(stations: Stations) -> None:
    station = stations.station()
    begun_held(station, "inhibitor", Point.INSTALL)
    running = station.running
    assert running is not None
    service = running.service
    refused: list[tuple[Any, type[Exception]]] = [
        (lambda: service.proceed("", Point.COMMIT, force=False), NotHeldError),
        (lambda: service.proceed("another", Point.INSTALL, force=False), NothingToDoError),
        (lambda: service.abort("another", "no"), NothingToDoError),
        (service.check, BusyError),
        (lambda: service.install("/there", "", []), BusyError),
        (service.commit, UsageError),
        (service.rollback, UsageError),
    ]
    for call, error in refused:
        with pytest.raises(error):
            running.run(call())
    assert station.state() is State.PAUSED_INSTALL


def test_the_same_job_again_is_the_same_update_also_when_it_is_over(stations: Stations) -> None:
    station = stations.station(servers=0)
    path = str(station.module("mod", "release-1", {"a": b"1"}))
    running = station.serve()
    service = running.service
    assert running.run(service.install(path, "job", [Point.COMMIT])) == "job"
    station.until_held(Point.COMMIT)
    assert running.run(service.install(path, "job", [])) == "job"
    running.run(service.proceed("", Point.COMMIT, force=False))
    station.until_over()
    assert running.run(service.install(path, "job", [])) == "job"
    running.run(service.install(path, "other", []))
    station.until_over(2)
    assert station.calls().count("module Download") == 2


def test_commit_and_rollback_by_hand(stations: Stations) -> None:
    station = stations.station(servers=0)
    path = str(station.module("mod", "release-1", {"a": b"1"}))
    running = station.serve()
    for job, result in (("one", "success"), ("two", "rolled-back")):
        running.run(running.service.install(path, job, [Point.COMMIT]))
        view = station.until_held(Point.COMMIT)
        assert set(view.actions) == {"continue", "abort", "commit", "rollback"}
        running.run(running.service.commit() if job == "one" else running.service.rollback())
        assert station.until_over(1 if job == "one" else 2) == result


def test_the_point_of_every_pause_can_be_told() -> None:
    assert {pause_state(point) for point in Point} == set(PAUSES)


def test_a_login_that_was_asked_for_is_told_once(stations: Stations) -> None:
    station = stations.station()
    running = station.serve()
    station.servers[0].wait_for(lambda server: bool(server.of("next")))
    running.run(running.service.send_inventory())
    running.tokens.clear()
    assert running.run(running.service.fetch_token())
    until(lambda: bool(running.tokens))
    # Whatever else the login had to tell was told before the answer to this.
    running.run(running.service.send_inventory())
    assert len(running.tokens) == 1
