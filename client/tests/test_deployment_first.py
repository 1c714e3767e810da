"""The first time on a device, and mending what an update needs to begin."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bistable.artifact import bootstrap_request, write_artifact
from bistable.artifact.writer import Extras
from bistable.client.boot.simulated import create, read_device, write_device
from bistable.client.config import Settings
from bistable.client.config.settings import BootSettings, DeviceSettings, SlotSettings
from bistable.client.deployment.device import Device
from bistable.client.deployment.first import BOOTSTRAP, heal, open_store, settle
from bistable.client.deployment.keptmaps import KeptMaps, MapSettings
from bistable.client.errors import HealthError
from bistable.client.maps import Action
from bistable.client.model import Point, SlotName
from bistable.client.store import Store

A, B = SlotName("a"), SlotName("b")


class Health:
    """Says what it is told to say."""

    def __init__(self, error: HealthError | None = None) -> None:
        self.error = error
        self.asked = 0

    def check(self, used: float, on_used: Callable[[float], None]) -> float:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return used


@pytest.fixture
def device(tmp_path: Path) -> Device:
    create(tmp_path / "state.json", (A, B))
    (tmp_path / "artifact_info").write_text("artifact_name=factory\n")
    settings = Settings(
        device=DeviceSettings(type="board", data_dir=tmp_path / "data", artifact_info_file=tmp_path / "artifact_info"),
        slots=SlotSettings(a=tmp_path / "a", b=tmp_path / "b"),
        boot=BootSettings(simulated_state=tmp_path / "state.json"),
    )
    return Device(settings, environment={})


@pytest.fixture
def store(device: Device) -> Store:
    return Store.open(device.settings.device.data_dir)


def bootstrap(device: Device, device_type: str = "board") -> None:
    request = bootstrap_request(
        name="first", device_types=[device_type], extras=Extras(provides={"rootfs-image.checksum": "abc"})
    )
    write_artifact(device.settings.device.data_dir / BOOTSTRAP, request)


def test_a_new_device_provides_what_its_file_says(device: Device, store: Store, tmp_path: Path) -> None:
    assert settle(store, device, tmp_path / "nothing") == ()
    assert store.provides() == {"artifact_name": "factory"}


def test_without_any_file_the_name_is_unknown(device: Device, store: Store, tmp_path: Path) -> None:
    (tmp_path / "artifact_info").unlink()
    settle(store, device, tmp_path / "nothing")
    assert store.provides() == {"artifact_name": "unknown"}


def test_a_bootstrap_artifact_says_more(device: Device, store: Store, tmp_path: Path) -> None:
    bootstrap(device)
    settle(store, device, tmp_path / "nothing")
    assert store.provides()["artifact_name"] == "first"
    assert store.provides()["rootfs-image.checksum"] == "abc"


def test_a_bootstrap_artifact_for_another_device_is_passed_over(device: Device, store: Store, tmp_path: Path) -> None:
    bootstrap(device, "another")
    assert "another type of device" in settle(store, device, tmp_path / "nothing")[0]
    assert store.provides() == {"artifact_name": "factory"}


def test_a_damaged_bootstrap_artifact_is_passed_over(device: Device, store: Store, tmp_path: Path) -> None:
    (device.settings.device.data_dir / BOOTSTRAP).write_bytes(b"nonsense")
    assert "cannot use" in settle(store, device, tmp_path / "nothing")[0]
    assert store.provides() == {"artifact_name": "factory"}


def test_it_is_done_once(device: Device, store: Store, tmp_path: Path) -> None:
    settle(store, device, tmp_path / "nothing")
    bootstrap(device)
    settle(store, device, tmp_path / "nothing")
    assert store.provides() == {"artifact_name": "factory"}


def lose_the_environment(device: Device) -> None:
    path = device.settings.boot.simulated_state
    assert path is not None
    found = read_device(path)
    table = replace(found.table, good=frozenset(), order=(A, B), tries={A: 2, B: 3})
    write_device(path, replace(found, table=table))


def test_a_slot_that_runs_on_trial_for_no_reason_is_confirmed_if_it_is_healthy(device: Device) -> None:
    lose_the_environment(device)
    assert "now confirmed" in heal(device, Health())[0]
    assert device.bootloader.status(A).good


def test_it_is_not_confirmed_if_it_is_not_healthy(device: Device) -> None:
    lose_the_environment(device)
    with pytest.raises(HealthError, match="sick"):
        heal(device, Health(HealthError("sick")))
    assert not device.bootloader.status(A).good


def test_a_good_slot_is_not_even_asked_for_its_health(device: Device) -> None:
    health = Health()
    assert heal(device, health) == ()
    assert health.asked == 0


def test_a_device_without_slots_has_nothing_to_mend() -> None:
    assert heal(Device(Settings(), environment={}), Health()) == ()


def test_the_state_of_the_simulated_device_is_plain_json(device: Device) -> None:
    assert device.settings.boot.simulated_state is not None
    assert json.loads(device.settings.boot.simulated_state.read_text())["booted"] == "a"


def test_a_slot_that_the_boot_loader_is_to_leave_is_not_confirmed(device: Device) -> None:
    path = device.settings.boot.simulated_state
    assert path is not None
    found = read_device(path)
    # Slot b runs on trial, and slot a, the good one, is what the next boot tries: an update that was given up.
    table = replace(found.table, good=frozenset({A}), order=(A,), tries={A: 0, B: 0})
    write_device(path, replace(found, booted=B, table=table))
    health = Health()
    assert heal(device, health) == ()
    assert health.asked == 0


def test_a_store_whose_record_makes_no_sense_is_put_aside(device: Device) -> None:
    directory = device.settings.device.data_dir
    with Store.open(directory) as store:
        store.save_record("nonsense")
    fresh, told = open_store(directory)
    with fresh:
        assert fresh.record() is None
    assert told is not None
    assert "corrupt-001" in told


def test_a_sound_store_is_just_opened(device: Device) -> None:
    store, told = open_store(device.settings.device.data_dir)
    store.close()
    assert told is None


def test_the_control_maps_of_another_client_live_on(device: Device, store: Store, tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb", reason="the library lmdb is not installed")
    legacy = tmp_path / "legacy"
    legacy.mkdir()
    identifier = "01234567-89ab-cdef-0123-456789abcdef"
    rule = {"action": "pause", "on_map_expire": "fail", "on_action_executed": "pause"}
    kept = {"active": [{"id": identifier, "priority": 0, "states": {"ArtifactInstall_Enter": rule}}], "expired": []}
    with (
        lmdb.open(str(legacy / "mender-store"), subdir=False, map_size=1 << 20) as written,
        written.begin(write=True) as to,
    ):
        to.put(b"artifact-name", b"release-1")
        to.put(b"update-control-maps", json.dumps(kept).encode())
    settle(store, device, legacy)
    maps = KeptMaps(store, MapSettings(life=3600, boot_life=600), boot_id="boot", clock=lambda: 10.0)
    decision = maps.merged(identifier)[Point.INSTALL]
    assert decision.action is Action.PAUSE
