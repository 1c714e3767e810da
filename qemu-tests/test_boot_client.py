"""The client on a device that boots: downloads that break off, holds, scripts, modules, refusals, disks with faults."""

from pathlib import Path

import pytest

from bistable.artifact import Extras, InputBytes, Options, module_request, read_signer, rootfs_request, write_artifact
from bistable.artifact.limits import MIB
from bistable.artifact.model import Script
from bistable.qemu.disks import failing, plain
from bistable.qemu.kinds import Kind
from boot_bench import ANY, bench

pytestmark = [pytest.mark.boots, pytest.mark.slow]
KINDS = [Kind.X86_64_GRUB, Kind.ARM64_UBOOT]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_download_goes_on_where_the_connection_broke_off(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        it.device.boot()
        url = it.offer("release-2")
        it.server.cut("release-2.mender", 3 * MIB, 5 * MIB)
        it.install(url)
        starts = [start for _name, start in it.server.requests]
        assert starts[0] == 0
        assert starts[1] > 0
        assert starts[2] > starts[1]
        assert it.device.reboot() == "b"


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_hold_before_the_commit_outlives_a_power_cut(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        it.device.boot()
        it.install(it.offer("release-2"), "--stop-before", "commit")
        assert it.device.reboot() == "b"
        it.ctl("recover")
        assert not it.slots()["state"]["b"]["good"]
        it.device.cut_power()

        assert it.device.boot() == "b"
        it.ctl("recover")
        status = it.ctl("status")
        assert status["update"]["artifact"] == "release-2"
        assert not status["slots"]["state"]["b"]["good"]

        assert it.ctl("resume")["result"] == "success"
        assert it.slots()["state"]["b"]["good"]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_state_scripts_of_an_artifact_run_on_both_sides_of_the_reboot(kind: Kind, tmp_path: Path) -> None:
    names = (
        "ArtifactInstall_Enter_00",
        "ArtifactInstall_Leave_00",
        "ArtifactCommit_Enter_00",
        "ArtifactCommit_Leave_00",
    )
    scripts = [
        Script(name=name, content=f"#!/bin/sh\necho {name} in $(cat /etc/bistable-release) >>/data/notes\n".encode())
        for name in names
    ]
    with bench(kind, tmp_path) as it:
        it.device.boot()
        it.update(it.offer("release-2", scripts=scripts))
        assert it.device.run("cat /data/notes").output.splitlines() == [
            "ArtifactInstall_Enter_00 in release-1",
            "ArtifactInstall_Leave_00 in release-1",
            "ArtifactCommit_Enter_00 in release-2",
            "ArtifactCommit_Leave_00 in release-2",
        ]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_update_module_changes_one_file_without_a_reboot(kind: Kind, tmp_path: Path) -> None:
    files = [
        InputBytes(name="dest_dir", content=b"/data"),
        InputBytes(name="filename", content=b"greeting"),
        InputBytes(name="permissions", content=b"644"),
        InputBytes(name="greeting", content=b"good day\n"),
    ]
    with bench(kind, tmp_path) as it:
        it.device.boot()
        artifact = tmp_path / "greeting.mender"
        request = module_request("single-file", files, name="greeting-1", device_types=[kind], extras=Extras())
        write_artifact(artifact, request, Options(signer=read_signer(it.rig.key)))
        done = it.ctl("install", it.serve(artifact, "greeting.mender"))
        if done["result"] is None:
            it.ctl("commit")
        assert it.device.run("cat /data/greeting").output == "good day"
        assert it.ctl("status")["slots"]["running"] == "a"


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_image_that_is_larger_than_a_slot_is_refused_and_changes_nothing(kind: Kind, tmp_path: Path) -> None:
    image = tmp_path / "large.img"
    with bench(kind, tmp_path) as it:
        with image.open("wb") as file:
            file.write(it.rig.slot.read_bytes())
            file.truncate(it.rig.slot.stat().st_size + MIB)
        artifact = tmp_path / "large.mender"
        write_artifact(
            artifact,
            rootfs_request(image, name="release-large", device_types=[kind]),
            Options(signer=read_signer(it.rig.key)),
        )
        it.device.boot()
        before = it.slots()
        failure = it.ctl("install", it.serve(artifact, "large.mender"), allowed=tuple(code for code in ANY if code))
        assert "error" in failure
        assert it.slots() == before
        it.machine.power_off()
        assert it.partition("rootfs-b").count(0) == it.rig.geometry.partition("rootfs-b").size
        assert it.device.boot() == "a"


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_disk_that_cannot_be_written_fails_the_update_and_not_the_device(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        slot = it.rig.geometry.partition("rootfs-b")
        it.machine.power_off()
        assert it.disk is not None
        # In the second half of the slot: much is written before.
        broken = failing(it.disk, first_sector=(slot.start + slot.size // 2) // 512, sectors=256)
        it.machine.power_on(broken)
        it.device.boot()
        url = it.offer("release-2")
        failure = it.ctl("install", url, allowed=tuple(code for code in ANY if code))
        assert failure["error"] or failure["result"] == "failure"
        assert it.slots()["next"] == "a"
        assert it.device.reboot() == "a"

        # With a sound disk the same update goes through.
        it.device.cut_power()
        it.machine.power_on(plain(it.disk))
        it.device.boot()
        assert it.update(url) == "b"
