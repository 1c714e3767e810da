"""What is read of a device that runs the Mender client, and what is said about it."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
from client_legacy import OldDevice, state

from bistable.client.adopt import Adoption, Stage, describe, read_legacy
from bistable.client.config import ConfigPaths, Loaded, Settings, load
from bistable.client.errors import StoreError


@pytest.fixture
def old(tmp_path: Path) -> OldDevice:
    return OldDevice(tmp_path)


def test_a_device_without_anything_of_mender_has_nothing_to_take(tmp_path: Path, old: OldDevice) -> None:
    found = old.read()
    assert (found.name, found.provides, found.device_type, found.in_flight, found.store) == (None, {}, None, None, None)
    assert found.not_understood == ()


def test_name_group_and_provides_come_from_the_store(old: OldDevice) -> None:
    old.hold(artifact_name=b"release-1", artifact_group=b"stable", artifact_provides=b'{"rootfs-image.version":"r"}')
    old.info.write_text("artifact_name=factory\n")
    found = old.read()
    assert found.provides == {"artifact_name": "release-1", "artifact_group": "stable", "rootfs-image.version": "r"}
    assert found.sources["provides"] == f"{old.store}: artifact-provides"


def test_the_name_comes_from_its_file_as_long_as_the_store_has_none(old: OldDevice) -> None:
    old.hold(artifact_group=b"")
    old.info.write_text("# built\n\nartifact_name = factory \n")
    found = old.read()
    assert found.provides == {"artifact_name": "factory"}
    assert found.sources["name"] == str(old.info)


def test_the_device_type_comes_from_the_file_that_the_configuration_names(old: OldDevice, tmp_path: Path) -> None:
    (old.data / "device_type").write_text("device_type=board\n")
    assert old.read().device_type == "board"
    other = tmp_path / "other"
    other.write_text("device_type=another")
    found = read_legacy(old.data, artifact_info=old.info, device_type_file=other)
    assert (found.device_type, found.sources["device_type"]) == ("another", str(other))


def test_the_login_key_is_found_and_not_read(old: OldDevice) -> None:
    key = old.data / "mender-agent.pem"
    key.write_text("secret")
    found = old.read()
    assert found.key_file == key
    assert "secret" not in repr(found)


def test_what_cannot_be_used_is_said_and_the_rest_is_taken(old: OldDevice) -> None:
    old.hold(
        artifact_name=b"r_INCONSISTENT", artifact_group=b"\xff", artifact_provides=b'{"a": 1, "b": "c"}', other=b""
    )
    (old.data / "device_type").write_text("board\n")
    found = old.read()
    assert found.provides == {"artifact_name": "r_INCONSISTENT", "b": "c"}
    assert found.not_understood == (
        f"{old.store}: artifact-group is not text",
        f"{old.store}: artifact-provides: the value of 'a' is not text",
        f"{old.data}/device_type: there is no line device_type=…",
        "r_INCONSISTENT: an update failed half way, so nobody knows what is installed",
        f"{old.store}: the key 'other' is not known",
    )


def test_provides_that_are_no_json_are_said(old: OldDevice) -> None:
    old.hold(artifact_name=b"r", artifact_provides=b"nonsense")
    found = old.read()
    assert found.provides == {"artifact_name": "r"}
    assert found.not_understood == (f"{old.store}: artifact-provides: not valid JSON: Expecting value",)


def test_an_update_in_progress_is_found(old: OldDevice) -> None:
    old.hold(artifact_name=b"release-1", state=state())
    found = old.read()
    assert found.in_flight is not None
    assert (found.name, found.in_flight.stage) == ("release-1", Stage.INSTALLED)


def test_an_update_that_cannot_be_understood_stops_everything(old: OldDevice) -> None:
    old.hold(artifact_name=b"release-1", state=b"?")
    with pytest.raises(StoreError):
        old.read()


def test_a_damaged_store_stops_everything(old: OldDevice) -> None:
    old.store.write_bytes(b"")
    with pytest.raises(StoreError, match=f"cannot read {old.store}: it is empty"):
        old.read()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(old: OldDevice) -> None:
    old.hold(artifact_name=b"x")
    old.store.chmod(0)
    with pytest.raises(StoreError, match=f"cannot read {old.store}: Permission denied"):
        old.read()


def test_the_data_directory_may_be_a_link(old: OldDevice, tmp_path: Path) -> None:
    old.hold(artifact_name=b"x")
    link = tmp_path / "link"
    link.symlink_to(old.data)
    assert read_legacy(link, artifact_info=old.info).name == "x"


# --- the report


def report_of(old: OldDevice, tmp_path: Path, conf: dict[str, object]) -> tuple[dict[str, tuple[str, str]], Adoption]:
    path = tmp_path / "mender.conf"
    path.write_text(json.dumps(conf, indent=1))
    none = tmp_path / "none"
    loaded = load(ConfigPaths(own=none, drop_ins=none, mender=path, mender_fallback=none))
    report = describe(old.read(), loaded)
    return {taken.what: (taken.value, taken.source) for taken in report.taken}, report


def test_the_report_says_what_is_taken_and_from_where(old: OldDevice, tmp_path: Path) -> None:
    old.hold(artifact_name=b"release-1", artifact_provides=b'{"a":"b"}', update_control_maps=b"{}")
    (old.data / "mender-agent.pem").write_text("secret")
    taken, _ = report_of(old, tmp_path, {"RootfsPartA": "/dev/a", "UpdatePollIntervalSeconds": 60})
    conf = tmp_path / "mender.conf"
    assert taken == {
        "artifact name": ("release-1", f"{old.store}: artifact-name"),
        "login key": ("(not shown)", f"{old.data}/mender-agent.pem"),
        "update control maps": ("2 bytes", f"{old.store}: update-control-maps"),
        "provides a": ("b", f"{old.store}: artifact-provides"),
        "[slots] a": ('"/dev/a"', f"{conf}:2: RootfsPartA"),
        "[server] poll-interval": ("60", f"{conf}:3: UpdatePollIntervalSeconds"),
    }


def test_the_report_shows_no_secret(old: OldDevice, tmp_path: Path) -> None:
    conf: dict[str, object] = {"TenantToken": "secret", "ServerURL": "https://me:secret@x", "Nonsense": "secret"}
    taken, report = report_of(old, tmp_path, conf)
    assert taken["[server] tenant-token"][0] == "(not shown)"
    assert taken["[server] urls"][0] == '["https://…@x"]'
    assert "secret" not in json.dumps(dataclasses.asdict(report))


def test_the_report_tells_of_an_update_in_progress_and_what_is_to_be_done(old: OldDevice, tmp_path: Path) -> None:
    old.hold(state=state())
    report = describe(old.read(), Loaded(settings=Settings()))
    assert report.unfinished is not None
    assert dataclasses.asdict(report.unfinished) == {
        "artifact": "release-2",
        "payload_type": "rootfs-image",
        "mode": "managed",
        "state": "reboot",
        "stage": "installed",
        "duty": "see whether what runs is what was installed; then commit it, or roll it back",
        "deployment": "deployment-1",
        "source": f"{old.store}: state",
    }


def test_the_report_lists_what_was_not_understood_and_what_is_ignored(old: OldDevice, tmp_path: Path) -> None:
    old.hold(nonsense=b"")
    _, report = report_of(old, tmp_path, {"DBus": {"Enabled": True}, "SkipVerifi": True})
    conf = tmp_path / "mender.conf"
    assert report.not_understood == (
        f"{old.store}: the key 'nonsense' is not known",
        f"{conf}: the key 'SkipVerifi' is not known; did you mean 'SkipVerify'?",
    )
    why = "the service is on D-Bus if there is one; `bistabled --bus none` keeps it off"
    assert report.ignored == (f"{conf}: DBus.Enabled is read and ignored: {why}",)
