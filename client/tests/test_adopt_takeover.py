"""A device that runs Debian's mender client 3.4.0 is taken over as it is, and can go back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_legacy import ARTIFACT, INFO
from client_lmdb import Forge
from client_peer import MARKS, require_namespaces
from client_takeover import BothClients
from forge import KEYS
from test_peer_client import EC, IMAGE, data, rootfs

from bistable.artifact import Codec, Extras, Options, module_request, read_signer, write_artifact
from bistable.client.adopt import read_legacy

pytestmark = MARKS

OTHER = read_signer(KEYS / "rsa3072.key")
BEFORE = {"mender_boot_part": "2", "mender_boot_part_hex": "2", "upgrade_available": "0", "bootcount": "0"}
TRIAL = {**BEFORE, "mender_boot_part": "3", "mender_boot_part_hex": "3", "upgrade_available": "1"}
KEPT = {**TRIAL, "upgrade_available": "0"}
STATUS = ("status", "--json")


@pytest.fixture
def device(tmp_path: Path) -> BothClients:
    require_namespaces()
    return BothClients(tmp_path / "device")


@pytest.fixture
def slots(device: BothClients, tmp_path: Path) -> Iterator[BothClients]:
    with device.with_slots(tmp_path):
        yield device


def write(device: BothClients, name: str, *, signer: Any = None, **more: Any) -> None:
    request = module_request("mod", [data("file", b"x")], name=name, device_types=["board"], extras=Extras(**more))
    write_artifact(device.root / "artifact", request, Options(codec=Codec.parse("gzip"), signer=signer))


def updated(device: BothClients) -> dict[str, str]:
    """Have the old client install and commit something, and return what the device provides then."""
    device.answer("SupportsRollback", "Yes\n")
    device.configure(ArtifactVerifyKey="/etc/mender/key.pem")
    write(device, "release-1", signer=EC, provides={"a": "b"}, group="stable")
    device.old_does("install", "/artifact")
    device.old_does("commit")
    return device.old_provides()


# --- a device at rest


def test_looking_at_it_changes_nothing_at_all(device: BothClients) -> None:
    updated(device)
    before = device.snapshot()
    adoption = json.loads(device.does("adopt", "--dry-run", "--json"))
    taken = {one["what"]: one for one in adoption["taken"]}
    assert taken["artifact name"]["value"] == "release-1"
    assert taken["login key"]["source"] == "/var/lib/mender/mender-agent.pem"
    assert device.snapshot() == before
    assert list((device.root / "var/lib/bistable").iterdir()) == []


def test_what_the_old_client_committed_is_what_ours_provides(device: BothClients) -> None:
    provides = updated(device)
    device.does("adopt")
    assert device.provides() == provides
    assert device.status()["artifact"] == "release-1"
    assert device.status()["device_type"] == "board"


def test_mender_conf_is_the_configuration(device: BothClients) -> None:
    updated(device)
    settings = json.loads(device.does("config", "--json"))["settings"]
    assert "/etc/mender/key.pem" in settings["trust.verify-keys"]["value"]
    assert settings["trust.verify-keys"]["from"].startswith("/etc/mender/mender.conf")
    assert "https://nowhere" in settings["server.urls"]["value"]


def test_what_is_signed_by_the_key_of_mender_conf_is_installed_and_nothing_else(device: BothClients) -> None:
    before = updated(device)
    for signer in (None, OTHER):
        write(device, "release-2", signer=signer)
        done = device.client("install", "/artifact")
        assert done.returncode == 1
        assert "sign" in done.stderr
        assert device.provides() == before
    write(device, "release-2", signer=EC)
    device.does("install", "/artifact")
    device.does("commit")
    assert device.provides()["artifact_name"] == "release-2"


def test_the_old_client_goes_on_where_it_stopped(device: BothClients) -> None:
    provides = updated(device)
    before = device.snapshot()
    write(device, "release-2", signer=EC)
    device.does("install", "/artifact")
    device.does("commit")
    assert device.snapshot() == before
    assert device.old_provides() == provides
    write(device, "release-3", signer=EC)
    device.old_does("install", "/artifact")
    device.old_does("commit")
    assert device.old_provides()["artifact_name"] == "release-3"


def test_an_update_of_a_module_must_be_ended_by_the_client_that_began_it(device: BothClients) -> None:
    device.answer("SupportsRollback", "Yes\n")
    write(device, "release-1")
    device.old_does("install", "/artifact")
    before = device.snapshot()
    done = device.client("commit")
    assert done.returncode == 1
    assert "let the other client finish it" in done.stderr
    assert device.snapshot() == before
    device.old_does("rollback")
    assert device.client("commit").returncode == 2
    assert device.provides()["artifact_name"] == "factory"


# --- a root file system that the old client installed, and that has ours


def in_flight(device: BothClients) -> None:
    """Have the old client install a root file system, and boot it."""
    write_artifact(device.root / "artifact", rootfs(), Options(codec=Codec.parse("gzip")))
    device.old_does("install", "/artifact")
    assert device.boot_variables() == TRIAL
    device.boot_slot("3")


def by_the_daemon(device: BothClients, state: str = "reboot") -> None:
    """Have the daemon's record say that it rebooted into what it installed."""
    in_flight(device)
    artifact = {**ARTIFACT, "artifact_name": "release-1", "artifact_provides": {"rootfs-image.version": "release-1"}}
    record = json.dumps({"Version": 2, "Name": state, "UpdateInfo": {**INFO, "Artifact": artifact}}).encode()
    (device.root / "var/lib/mender/mender-store").write_bytes(
        Forge().store({"artifact-name": b"factory", "state": record})
    )


def unhealthy(device: BothClients) -> None:
    (device.root / "etc/bistable/health.d").mkdir()
    device.program("etc/bistable/health.d/check", "#!/bin/sh\necho broken >&2\nexit 1\n")
    device.configure_own("[health]\ndeadline = 1\n")


def record_of(device: BothClients) -> Any:
    return read_legacy(device.root / "var/lib/mender", artifact_info=device.root / "etc/mender/artifact_info").in_flight


def test_it_is_verified_committed_and_remembered(slots: BothClients) -> None:
    in_flight(slots)
    before = slots.snapshot()
    assert slots.status()["slots"]["running"] == "b"
    slots.does("commit")
    assert slots.boot_variables() == KEPT
    assert slots.provides()["artifact_name"] == "release-1"
    assert slots.provides()["rootfs-image.version"] == "release-1"
    history = json.loads(slots.does("history", "--json"))
    assert "success" in str(history)
    assert slots.slots["3"].read_bytes()[: len(IMAGE)] == IMAGE
    assert slots.snapshot() == before
    assert slots.client("commit").returncode == 2


def test_an_unhealthy_one_is_rolled_back_and_the_old_client_finds_its_record(slots: BothClients) -> None:
    in_flight(slots)
    before, record = slots.snapshot(), record_of(slots)
    unhealthy(slots)
    done = slots.client("commit")
    assert done.returncode == 1
    assert "broken" in done.stderr + done.stdout
    assert slots.boot_variables() == BEFORE
    slots.boot_slot("2")
    assert slots.snapshot() == before
    assert record_of(slots) == record
    slots.old_does("rollback")
    assert slots.old_does("show-artifact").strip() == "factory"
    assert slots.boot_variables() == BEFORE


def test_a_person_can_roll_it_back(slots: BothClients) -> None:
    in_flight(slots)
    done = slots.client("rollback", "--reboot-exit-code")
    assert done.returncode == 4, done.stdout + done.stderr
    assert slots.boot_variables() == BEFORE


def test_what_was_never_booted_is_not_committed(slots: BothClients) -> None:
    in_flight(slots)
    slots.boot_slot("2")
    done = slots.client("commit")
    assert done.returncode == 1
    assert slots.provides()["artifact_name"] == "factory"
    assert slots.boot_variables() == BEFORE


def test_what_the_boot_loader_gave_up_is_not_committed(slots: BothClients) -> None:
    in_flight(slots)
    for key, value in BEFORE.items():
        (slots.log / "env" / key).write_text(f"{value}\n")
    slots.boot_slot("2")
    done = slots.client("commit")
    assert done.returncode == 1
    assert slots.provides()["artifact_name"] == "factory"
    assert slots.boot_variables() == BEFORE


@pytest.mark.parametrize("state", ["update-store", "update-install", "rollback"])
def test_an_update_of_the_daemon_that_was_cut_off_leaves_what_runs(slots: BothClients, state: str) -> None:
    by_the_daemon(slots, state)
    for key, value in BEFORE.items():
        (slots.log / "env" / key).write_text(f"{value}\n")
    slots.boot_slot("2")
    slots.client("resume")
    assert slots.boot_variables() == BEFORE
    assert slots.status()["update"] is None
    assert slots.status()["slots"]["running"] == "a"
    assert slots.provides()["artifact_name"] == "factory"


def test_an_update_of_the_daemon_is_committed(slots: BothClients) -> None:
    by_the_daemon(slots)
    before = slots.snapshot()
    slots.does("adopt")
    assert slots.status()["update"]["artifact"] == "release-1"
    slots.does("commit")
    assert slots.boot_variables() == KEPT
    assert slots.provides()["artifact_name"] == "release-1"
    assert slots.snapshot() == before
    assert not (slots.log / "reboots").exists()


def test_an_unhealthy_update_of_the_daemon_is_rolled_back(slots: BothClients) -> None:
    by_the_daemon(slots)
    before = slots.snapshot()
    unhealthy(slots)
    assert slots.client("resume").returncode == 1
    assert slots.boot_variables() == BEFORE
    assert (slots.log / "reboots").read_text().splitlines() == ["reboot"]
    slots.boot_slot("2")
    assert slots.snapshot() == before
