"""What an update of the service calls and tells, and who can hold it."""

import json
from collections.abc import Callable

from client_service import APPLICATION, POLL, VALID, Station, control_map, pause_state

from bistable.client.model import Point

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
