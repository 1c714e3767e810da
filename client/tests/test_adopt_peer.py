"""What Debian's Mender client 3.4.0 leaves on a device is what is taken over, and that client can go on afterwards."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from peers import attempt, needs
from test_peer_client import BUSYBOX, Device, as_root, module

from bistable.artifact import Codec, Extras, Options, write_artifact
from bistable.client.adopt import Legacy, Stage, read_legacy
from bistable.client.adopt.lmdb import read_store
from bistable.client.config import ConfigPaths, load
from bistable.client.model import Mode, RebootNeed

pytestmark = [
    *needs("mender"),
    pytest.mark.skipif(BUSYBOX is None, reason="the program busybox is not installed"),
]

DEPLOYMENT = "11111111-2222-3333-4444-555555555555"
MAPS = {"id": DEPLOYMENT, "priority": 1, "states": {"ArtifactReboot_Enter": {"action": "force_continue"}}}

REBOOTING = """#!/bin/sh
case "$1" in
  SupportsRollback) echo Yes ;;
  NeedsArtifactReboot) echo Automatic ;;
esac
"""

CUT_OFF = """#!/bin/sh
case "$1" in
  {fails}) exit 1 ;;
  {cut}) kill -9 $PPID ;;
  SupportsRollback) echo Yes ;;
esac
"""

POWER_CUT = """#!/bin/sh
kill -9 $PPID
"""


@pytest.fixture
def device(tmp_path: Path) -> Device:
    if as_root() and attempt(*as_root(), "true").returncode:
        pytest.skip("a chroot needs root, or a kernel that lets users have their own namespace")
    return Device(tmp_path / "device")


def legacy(device: Device) -> Legacy:
    return read_legacy(device.root / "var/lib/mender", artifact_info=device.root / "etc/mender/artifact_info")


def store_of(device: Device) -> Path:
    return device.root / "var/lib/mender/mender-store"


def test_a_device_that_was_never_updated_has_the_name_from_its_file(device: Device) -> None:
    assert device.client("show-artifact").returncode == 0
    found = legacy(device)
    assert (found.name, found.device_type, found.in_flight) == ("factory", "board", None)
    assert found.sources["name"] == str(device.root / "etc/mender/artifact_info")
    assert found.not_understood == ()


def test_what_the_client_committed_is_what_the_device_provides(device: Device) -> None:
    device.install(module({"file": b"x"}, extras=Extras(provides={"a": "b"}, group="stable")))
    provides = device.commit()
    found = legacy(device)
    assert dict(found.provides) == provides
    assert (found.name, found.group, found.in_flight) == ("release-1", "stable", None)
    assert found.sources["name"] == f"{store_of(device)}: artifact-name"


def test_an_update_that_waits_for_its_commit_is_taken_over(device: Device) -> None:
    device.install(module({"file": b"x"}, extras=Extras(provides={"a": "b"}, group="stable", clears=("a.*",))))
    update = legacy(device).in_flight
    assert update is not None
    assert (update.mode, update.stage, update.offer is not None) == (Mode.STANDALONE, Stage.INSTALLED, True)
    assert update.offer is not None
    assert (update.offer.name, update.offer.group, update.offer.payload_type) == ("release-1", "stable", "mod")
    assert update.offer.clears == ("a.*", "rootfs-image.mod.*")
    expected = {"artifact_name": "release-1", "artifact_group": "stable", "a": "b"}
    assert dict(update.offer.provides) == {**expected, "rootfs-image.mod.version": "release-1"}


def test_the_old_client_goes_on_as_if_nothing_had_read_its_store(device: Device) -> None:
    device.install(module({"file": b"x"}))
    before = store_of(device).read_bytes()
    assert legacy(device).in_flight is not None
    assert store_of(device).read_bytes() == before
    assert device.client("rollback").returncode == 0
    found = legacy(device)
    assert (found.name, found.in_flight) == ("factory", None)


def test_values_of_several_pages_are_read(device: Device) -> None:
    provides = {f"key-{n}": "x" * 200 for n in range(200)}
    device.install(module({"file": b"x"}, extras=Extras(provides=provides)))
    device.commit()
    assert len(read_store(store_of(device))["artifact-provides"]) > 40_000
    assert {key: legacy(device).provides[key] for key in provides} == provides


def test_its_configuration_is_taken_as_it_is(device: Device) -> None:
    device.configure(RootfsPartA="/dev/active1", RootfsPartB="/dev/passive2", UpdatePollIntervalSeconds=7)
    conf = device.root / "etc/mender/mender.conf"
    settings = load(ConfigPaths(own=Path("/-"), drop_ins=Path("/-"), mender=conf, mender_fallback=Path("/-"))).settings
    assert (settings.slots.a, settings.slots.b) == (Path("/dev/active1"), Path("/dev/passive2"))
    assert (settings.server.urls, settings.server.poll_interval) == (("https://nowhere",), 7)


# --- the daemon, up to the reboot


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Give the address of a server that has one deployment for everybody."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            body, kind = b"{}", "application/json"
            if "auth_requests" in self.path:
                body, kind = b"eyJhbGciOiJub25lIn0.e30.sig", "application/jwt"
            elif self.path.endswith("/next"):
                body = json.dumps(deployment).encode()
            elif self.path == "/artifact":
                body, kind = (tmp_path / "device/artifact").read_bytes(), "application/octet-stream"
            elif "control_map" in self.path:
                body = json.dumps({"update_control_map": MAPS}).encode()
            self.send_response(204 if self.path.endswith("/status") else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", "0" if self.path.endswith("/status") else str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.path.endswith("/status") else body)

        do_GET = do_PUT = do_POST = answer  # noqa: N815  the library finds them by these names

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{listening.server_port}"
    deployment = {
        "id": DEPLOYMENT,
        "update_control_map": MAPS,
        "artifact": {
            "source": {"uri": f"{address}/artifact", "expire": "2040-01-01T00:00:00Z"},
            "device_types_compatible": ["board", "other"],
            "artifact_name": "release-1",
        },
    }
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield address
    listening.shutdown()
    listening.server_close()
    thread.join()


def run_until_power_cut(device: Device, server: str, *, module_text: str) -> None:
    """Let the daemon update the device; the power goes when it reboots, or when the module ends it."""
    request = module({"f": b"x" * 5000}, extras=Extras(provides={"a": "b"}, group="stable"))
    write_artifact(device.root / "artifact", request, Options(codec=Codec.parse("none")))
    device.program("usr/share/mender/modules/v3/mod", module_text)
    device.program("bin/reboot", POWER_CUT)
    (device.root / "usr/share/mender/identity").mkdir(parents=True)
    device.program("usr/share/mender/identity/mender-device-identity", "#!/bin/sh\necho id=1\n")
    device.configure(ServerURL=server, UpdatePollIntervalSeconds=1, DBus={"Enabled": False})
    command = [*as_root(), "chroot", str(device.root), "/bin/mender", "--no-syslog", "daemon"]
    environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -9, done.stderr


def test_an_update_of_the_daemon_is_taken_over_after_its_reboot(device: Device, server: str) -> None:
    run_until_power_cut(device, server, module_text=REBOOTING)
    found = legacy(device)
    update = found.in_flight
    assert found.name == "factory"
    assert update is not None
    assert (update.mode, update.state, update.stage) == (Mode.MANAGED, "reboot", Stage.INSTALLED)
    assert (update.deployment_id, update.url) == (DEPLOYMENT, f"{server}/artifact")
    assert (update.reboot_need, update.supports_rollback) == (RebootNeed.AUTOMATIC, True)
    assert update.offer is not None
    assert (update.offer.name, update.offer.payload_type) == ("release-1", "mod")
    assert update.offer.device_types == ("board", "other")
    assert update.offer.provides["a"] == "b"
    assert found.key_file == device.root / "var/lib/mender/mender-agent.pem"
    assert found.control_maps is not None
    assert DEPLOYMENT.encode() in found.control_maps


@pytest.mark.parametrize(
    ("fails", "cut", "stage"),
    [
        ("-", "Download", Stage.DOWNLOADED),
        ("-", "ArtifactInstall", Stage.INTERRUPTED),
        ("-", "ArtifactCommit", Stage.INTERRUPTED),
        ("ArtifactInstall", "ArtifactRollback", Stage.ROLLING_BACK),
        ("ArtifactInstall", "ArtifactFailure", Stage.FAILED),
        ("-", "Cleanup", Stage.CLEANING),
    ],
)
def test_how_far_the_daemon_came_is_known(device: Device, server: str, fails: str, cut: str, stage: Stage) -> None:
    run_until_power_cut(device, server, module_text=CUT_OFF.format(fails=fails, cut=cut))
    found = legacy(device)
    assert found.in_flight is not None
    assert (found.in_flight.stage, found.in_flight.deployment_id) == (stage, DEPLOYMENT)
    assert found.not_understood == ()
