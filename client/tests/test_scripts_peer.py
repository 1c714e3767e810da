"""Debian's mender client 3.4.0 and ours run the same scripts for the same states; where not, a test says where."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from client_scripts import Scripts
from peers import attempt, needs
from test_peer_client import Device, as_root

from bistable.artifact import Codec, Extras, Options, Script, module_request, write_artifact
from bistable.client.errors import ScriptError

pytestmark = [
    *needs("mender"),
    pytest.mark.skipif(shutil.which("busybox") is None, reason="the program busybox is not installed"),
]

STANDALONE = [("Download", "Enter"), ("Download", "Leave"), ("ArtifactInstall", "Enter"), ("ArtifactInstall", "Leave")]
ROLLBACK = [("ArtifactRollback", "Enter"), ("ArtifactRollback", "Leave")]
COMMIT = [("ArtifactCommit", "Enter"), ("ArtifactCommit", "Leave")]

CLEAR_NAMES = [
    "ArtifactRollback_Enter_00",
    "ArtifactRollback_Leave_00",
    "ArtifactRollbackReboot_Enter_00",
    "ArtifactRollbackReboot_Leave_00",
    "ArtifactReboot_Enter_00",
    "ArtifactInstall_Enter_10",
    "ArtifactInstall_Enter_01_text",
    "ArtifactInstall_Leave_00_text.sh",
    "ArtifactInstall_Error_00",
    "ArtifactCommit_Enter_00",
    "ArtifactCommit_Leave_00_B",
    "ArtifactCommit_Leave_00_a",
    "ArtifactFailure_Enter_00",
]
SYSTEM_NAMES = ["Download_Enter_00", "Download_Leave_09", "Sync_Enter_00", "Idle_Enter_00", "Download_Enter_1"]
TWO_MEANINGS = "ArtifactInstall_Leave_00_ArtifactRollback_Enter"


@pytest.fixture
def device(tmp_path: Path) -> Device:
    if as_root() and attempt(*as_root(), "true").returncode:
        pytest.skip("a chroot needs root, or a kernel that lets users have their own namespace")
    device = Device(tmp_path / "device")
    (device.root / "etc/mender/scripts/version").write_text("3")
    return device


@pytest.fixture
def ours(tmp_path: Path) -> Scripts:
    return Scripts(tmp_path / "ours")


def content(name: str, status: int = 0) -> str:
    return f"#!/bin/sh\necho {name} >> /log/calls\nexit {status}\n"


def carry(device: Device, names: Iterable[str]) -> None:
    scripts = [Script(name=name, content=content(name).encode()) for name in names]
    request = module_request("mod", [], name="release-1", device_types=["board"], extras=Extras(scripts=scripts))
    write_artifact(device.root / "artifact", request, Options(codec=Codec.parse("gzip")))


def scripts_called(device: Device) -> list[str]:
    """Return the scripts that ran, without what the update module was asked."""
    return [call for call in device.calls() if "_" in call]


@pytest.mark.parametrize(("command", "states"), [("rollback", ROLLBACK), ("commit", COMMIT)])
def test_the_same_scripts_run_in_the_same_order(
    device: Device, ours: Scripts, command: str, states: list[tuple[str, str]]
) -> None:
    carry(device, CLEAR_NAMES)
    ours.runner.store([ours.carried(name) for name in CLEAR_NAMES])
    for name in SYSTEM_NAMES:
        device.program(f"etc/mender/scripts/{name}", content(name))
        ours.add(name, directory=ours.rootfs)
    device.install_written()
    assert device.client(command).returncode == 0
    for state, action in [*STANDALONE, *states]:
        ours.runner.run(state, action, ignore_errors=False)
    assert scripts_called(device) == ours.ran
    assert {name for name in ours.ran if name.startswith("ArtifactRollbackReboot")} == set()


def test_a_name_with_the_words_of_two_states_runs_once_here_and_four_times_there(device: Device, ours: Scripts) -> None:
    carry(device, [TWO_MEANINGS])
    ours.runner.store([ours.carried(TWO_MEANINGS)])
    device.install_written()
    device.client("rollback")
    for state, action in [*STANDALONE, *ROLLBACK]:
        ours.runner.run(state, action, ignore_errors=False)
    assert scripts_called(device) == [TWO_MEANINGS] * 4
    assert ours.ran == [TWO_MEANINGS]


def test_the_same_files_are_kept(device: Device, ours: Scripts) -> None:
    carry(device, CLEAR_NAMES)
    ours.runner.store([ours.carried(name) for name in CLEAR_NAMES])
    device.install_written()
    theirs = device.root / "var/lib/mender/scripts"
    facts = [
        {path.name: path.stat().st_mode for path in place.iterdir()} | {"is": (place / "version").read_bytes()}
        for place in (theirs, ours.artifact)
    ]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("version", [None, "1", "2", "3", " 3\n", "4", "x", ""])
def test_the_same_versions_are_known(device: Device, ours: Scripts, version: str | None) -> None:
    carry(device, [])
    device.program("etc/mender/scripts/Download_Enter_00", content("Download_Enter_00"))
    ours.add("Download_Enter_00")
    for directory in (device.root / "etc/mender/scripts", ours.rootfs):
        (directory / "version").unlink()
        if version is not None:
            (directory / "version").write_text(version)
    try:
        ours.runner.run("Download", "Enter", ignore_errors=False)
    except ScriptError:
        accepted = False
    else:
        accepted = True
    assert accepted == (device.client("install", "/artifact").returncode == 0)


def test_error_scripts_all_run(device: Device, ours: Scripts) -> None:
    carry(device, [])
    for name, status in {"Download_Enter_00": 1, "Download_Error_00": 2, "Download_Error_01": 0}.items():
        device.program(f"etc/mender/scripts/{name}", content(name, status))
        ours.add(name, f"exit {status}")
    assert device.client("install", "/artifact").returncode != 0
    with pytest.raises(ScriptError):
        ours.runner.run("Download", "Enter", ignore_errors=False)
    ours.runner.run("Download", "Error", ignore_errors=True)
    assert scripts_called(device) == ours.ran == ["Download_Enter_00", "Download_Error_00", "Download_Error_01"]
