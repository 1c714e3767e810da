"""The service leads a deployment: without and with pauses, whoever holds it, until it is let go on or ended."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client_answers import refusing
from client_server import DEPLOYMENT
from client_service import (
    APPLICATION,
    PAUSE_STATUS,
    POLL,
    VALID,
    Running,
    Station,
    Stations,
    control_map,
    everywhere,
    pause_state,
    status_of,
    steps,
    until,
)

from bistable.client.bus.failures import NotHeldError
from bistable.client.errors import BusyError, NothingToDoError, UsageError
from bistable.client.machine import PAUSES, State
from bistable.client.model import Point


@pytest.fixture
def stations(tmp_path: Path) -> Iterator[Stations]:
    with Stations(tmp_path) as made:
        yield made


MAPPED = [Point.INSTALL, Point.REBOOT, Point.COMMIT]
SUCCESS = """module Download
module SupportsRollback
script ArtifactInstall_Enter
module ArtifactInstall
module NeedsArtifactReboot
script ArtifactInstall_Leave
script ArtifactReboot_Enter
module ArtifactReboot
module ArtifactVerifyReboot
script ArtifactReboot_Leave
script ArtifactCommit_Enter
module ArtifactCommit
script ArtifactCommit_Leave
module Cleanup""".splitlines()
BACK = """script ArtifactRollback_Enter
module ArtifactRollback
script ArtifactRollback_Leave""".splitlines()
BACK_AGAIN = """script ArtifactRollbackReboot_Enter
module ArtifactRollbackReboot
module ArtifactVerifyRollbackReboot
script ArtifactRollbackReboot_Leave""".splitlines()
FAILED = """script ArtifactFailure_Enter
module ArtifactFailure
script ArtifactFailure_Leave""".splitlines()
UNTIL = {Point.DOWNLOAD: 0, Point.INSTALL: 2, Point.REBOOT: 6, Point.COMMIT: 10}
"""How many calls are made before each point."""


def ending_of(point: Point) -> list[str]:
    """Return the calls of an update that is aborted where it waits."""
    if point is Point.DOWNLOAD:
        return []
    before = SUCCESS[: UNTIL[point]]
    if point is Point.INSTALL:
        return [*before, "module Cleanup"]
    again = BACK_AGAIN if point is Point.COMMIT else []
    return [*before, *BACK, *again, *FAILED, "module Cleanup"]


def check_statuses(station: Station) -> None:
    """Every status is one that servers know, and only the last one is final."""
    for server in station.servers:
        assert {status for status, _ in server.statuses} <= VALID
        final = [number for number, (status, _) in enumerate(server.statuses) if status in {"success", "failure"}]
        assert final in ([], [len(server.statuses) - 1])


# --- who can hold it, and how that ends


def by_server(station: Station, point: Point) -> Callable[[], None]:
    station.servers[0].deployment.control_map = control_map(**{point.value: "pause"})  # type: ignore[union-attr]

    def let_go() -> None:
        station.servers[0].deployment.control_map = control_map(**{point.value: "force_continue"})  # type: ignore[union-attr]
        assert station.running is not None
        station.running.put_forward(POLL)

    return let_go


def by_application(station: Station, point: Point) -> Callable[[], None]:
    def send(action: str) -> None:
        assert station.running is not None
        words = json.dumps(control_map(APPLICATION, **{point.value: action}))
        assert station.running.run(station.running.service.set_control_map(words)) == POLL

    send("pause")
    return lambda: send("continue")


def by_inhibitor(station: Station, point: Point) -> Callable[[], None]:
    assert station.running is not None
    running = station.running
    held = running.do(lambda service: service.inhibit([point], "kiosk", "a customer", "block", None))
    return lambda: running.do(lambda _: held.release())


HOLDERS = {"server": by_server, "application": by_application, "inhibitor": by_inhibitor}


def begun_held(station: Station, who: str, point: Point) -> Callable[[], None]:
    """Have somebody hold an update that the server offers, and return what lets it go on."""
    running = station.serve()
    running.wait(lambda view: view.next_check is not None)
    station.offer()
    let_go = HOLDERS[who](station, point)
    running.put_forward(POLL)
    view = station.until_held(point)
    assert view.state == pause_state(point).value
    return let_go


# --- without pauses


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


# --- pauses


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


# --- aborts


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
