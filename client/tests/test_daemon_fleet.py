"""Two hundred devices in one process wait at each gate, and are released together."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from client_rig import memory
from client_server import Deployment, FakeServer
from client_service import PAUSE_STATUS, POLL, Clock, Station, control_map, everywhere, until

from bistable.artifact import Codec, InputBytes, Options, module_request, write_artifact
from bistable.client.model import Point

pytestmark = pytest.mark.slow

DEVICES = 200
AT_A_TIME = 20
GATES = (Point.INSTALL, Point.REBOOT, Point.COMMIT)


@pytest.fixture
def place() -> Iterator[Path]:
    with memory() as directory:
        yield directory


def artifact(place: Path) -> bytes:
    path = place / "artifact.mender"
    request = module_request("mod", [InputBytes(name="a", content=b"1")], name="release-1", device_types=["board"])
    write_artifact(path, request, Options(codec=Codec.parse("none")))
    return path.read_bytes()


def told(server: FakeServer, status: str) -> Counter[str | None]:
    """Return how often each device told a status of its own, words on the side not counted."""
    return Counter(
        asked.device
        for asked in server.of("status")
        if asked.json["status"] == status and (not asked.json.get("substate") or status == "failure")
    )


def test_a_fleet_waits_at_each_gate_and_is_released(place: Path) -> None:
    clock = Clock()
    with FakeServer(artifact=artifact(place)) as server, ThreadPoolExecutor(AT_A_TIME) as pool:
        deployment = server.deployment = Deployment(artifact_name="release-1", control_map=everywhere(GATES))

        def made(number: int) -> Station:
            here = place / f"device-{number}"
            here.mkdir()
            station = Station(place=here, servers=[server], clock=clock)
            station.program("identity", f"#!/bin/sh\necho mac=02:00:00:00:{number // 256:02x}:{number % 256:02x}\n")
            station.serve()
            return station

        fleet = list(pool.map(made, range(DEVICES)))
        try:
            for gate in GATES:
                waiting = PAUSE_STATUS[gate]
                until(lambda waiting=waiting: len(told(server, waiting)) == DEVICES)  # type: ignore[misc]
                assert set(told(server, waiting).values()) == {1}
                for station in fleet:
                    station.until_held(gate)
                later = GATES[GATES.index(gate) + 1 :]
                states = {point.value: "pause" for point in later}
                deployment.control_map = control_map(**{gate.value: "force_continue"}, **states)
                clock.put_forward(POLL)
                for station in fleet:
                    assert station.running is not None
                    station.running.put_forward(0)
            assert list(pool.map(lambda station: station.until_over(), fleet)) == ["success"] * DEVICES
            assert len(told(server, "success")) == DEVICES
            assert told(server, "failure") == {}
            assert {tuple(station.calls()) for station in fleet} == {tuple(fleet[0].calls())}
        finally:
            list(pool.map(Station.stop, fleet))
