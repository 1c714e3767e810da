"""Debian's mender client 3.4.0 takes the fake server for a real one, so that ours can be compared with it there."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_answers import dropping, refusing
from client_peer import MARKS, Peer, require_namespaces
from client_server import DEPLOYMENT, V1, V2, Deployment, FakeServer
from test_peer_client import data

from bistable.artifact import Codec, Options, module_request, write_artifact

pytestmark = MARKS

IDENTITY = "#!/bin/sh\necho mac=02:00:00:00:00:01\n"


def artifact(folder: Path) -> bytes:
    path = folder / "artifact.mender"
    items = [data("a", b"x" * 100_000)]
    write_artifact(
        path, module_request("mod", items, name="release-2", device_types=["board"]), Options(codec=Codec.parse("none"))
    )
    return path.read_bytes()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    with FakeServer(artifact=artifact(tmp_path)) as found:
        yield found


@pytest.fixture
def daemon(tmp_path: Path, server: FakeServer) -> Iterator[Peer]:
    require_namespaces()
    device = Peer(tmp_path / "device")
    (device.root / "usr/share/mender/identity").mkdir(parents=True)
    device.program("usr/share/mender/identity/mender-device-identity", IDENTITY)
    device.configure(
        ServerURL=server.url,
        DBus={"Enabled": False},
        UpdatePollIntervalSeconds=1,
        InventoryPollIntervalSeconds=3600,
        RetryPollIntervalSeconds=1,
        UpdateControlMapExpirationTimeSeconds=600,
    )
    device.answer("SupportsRollback", "Yes\n")
    process = device.start("daemon")
    try:
        yield device
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_it_logs_in_and_asks(daemon: Peer, server: FakeServer) -> None:
    server.wait_for(lambda one: len(one.of("next")) > 0)
    assert server.wrong_logins == []
    assert set(server.logins[0].json) == {"id_data", "pubkey", "tenant_token"}
    assert server.of("next")[0].json == {
        "device_provides": {"artifact_name": "factory", "device_type": "board"},
        "update_control_map": True,
    }


def test_it_installs_with_every_status(daemon: Peer, server: FakeServer) -> None:
    server.deployment = Deployment()
    server.wait_for_status("success")
    assert server.status_names() == ["downloading", "installing", "success"]
    assert "module ArtifactCommit" in daemon.names()


def test_it_falls_back_to_older_ways_of_asking(daemon: Peer, server: FakeServer) -> None:
    server.ways, server.deployment = {"v1 GET"}, Deployment()
    server.wait_for_status("success")
    assert [asked.line for asked in server.of("next")][-3:] == [
        f"POST {V2}/next",
        f"POST {V1}/next",
        f"GET {V1}/next",
    ]


def test_it_pauses_and_goes_on_by_the_control_map(daemon: Peer, server: FakeServer) -> None:
    server.deployment = Deployment(
        control_map={"id": DEPLOYMENT, "states": {"ArtifactInstall_Enter": {"action": "pause"}}}
    )
    server.wait_for_status("pause_before_installing")
    assert "module ArtifactInstall" not in daemon.names()
    server.deployment.control_map = {
        "id": DEPLOYMENT,
        "states": {"ArtifactInstall_Enter": {"action": "force_continue"}},
    }
    server.wait_for_status("success")
    assert server.status_names() == ["downloading", "pause_before_installing", "installing", "success"]


def test_it_hears_an_abort(daemon: Peer, server: FakeServer) -> None:
    server.aborts_at = {"installing"}
    server.deployment = Deployment()
    server.wait_for_status("failure")
    server.wait_for(lambda one: DEPLOYMENT in one.logs)


def test_it_gets_over_faults(daemon: Peer, server: FakeServer) -> None:
    server.fail("next", refusing(500))
    server.fail("next", dropping(20))
    server.fail("inventory", refusing(401))
    server.deployment = Deployment()
    server.wait_for_status("success")
