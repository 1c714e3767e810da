"""The power is cut everywhere in an update that really was made; the device boots, tells the truth, and can be updated.

This is a sample; `python -m bistable.qemu.sweep` does all of it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bistable.qemu import patience
from bistable.qemu.crash import SECTOR, Prefix, parse_cut
from bistable.qemu.device import QemuDevice, bistablectl
from bistable.qemu.disks import NODE, Disk
from bistable.qemu.errors import MisbehavedError
from bistable.qemu.kinds import Kind
from bistable.qemu.machine import start
from bistable.qemu.recording import Scenario, record
from bistable.qemu.rig import FIRST, copy_sparse
from bistable.qemu.serving import Server
from bistable.qemu.stage import NEW, Stage, prepare
from bistable.qemu.survey import Film, choose
from bistable.qemu.trial import Depth, boot_cut, release_of
from bistable.qemu.volatile import PlannedCut, VolatileDisk
from boot_bench import need

pytestmark = pytest.mark.boots
SEED = 1
BOOTED = 4
"""Of the cuts around the environment's writes and of other kinds, so many are really booted, for each boot loader."""

KINDS = [pytest.param(kind, id=str(kind)) for kind in (Kind.X86_64_GRUB, Kind.ARM64_UBOOT)]


@pytest.fixture(scope="module", params=KINDS)
def film(request: pytest.FixtureRequest) -> Iterator[Film]:
    need(request.param)
    with Film(record(prepare(request.param), Scenario.COMMIT)) as film:
        yield film


@pytest.fixture(scope="module")
def judged(film: Film) -> list:
    return list(film.survey(seed=SEED, losses=1, most_tears=6))


def test_no_cut_leaves_a_device_that_does_not_boot_or_a_client_that_is_wrong(film: Film, judged: list) -> None:
    assert {one.cut: one.findings for one in judged if one.findings} == {}
    assert len(judged) > 300


def test_the_whole_recording_ends_with_the_new_system_for_good(film: Film) -> None:
    verdict = film.verdict(Prefix(count=len(film.requests)))
    assert (verdict.path, verdict.client.artifact, verdict.client.record) == ("b", NEW, None)


def test_cuts_before_the_switch_boot_the_old_system_and_later_ones_the_new_one(film: Film, judged: list) -> None:
    releases = [one.artifact for one in judged if one.cut.startswith("prefix")]
    switch = releases.index(NEW)
    assert set(releases[:switch]) == {FIRST}
    assert set(releases[switch:]) == {NEW}


def test_really_booted_it_is_as_the_checker_said(film: Film, judged: list, tmp_path: Path) -> None:
    outcomes = {}
    for number, cut in enumerate(choose(film, judged, BOOTED, SEED)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with film.at(parse_cut(cut)) as picture:
            verdict = film.checker.check(picture)
            picture.save(folder / "disk.img")
        depth = Depth.REPEAT if number == BOOTED - 1 else Depth.RECOVER
        outcomes[cut] = boot_cut(film.recording.stage, folder / "disk.img", verdict, folder, depth)
    assert {cut: outcome for cut, outcome in outcomes.items() if not outcome.sound} == {}


def volatile(disk: VolatileDisk) -> Disk:
    node = f"driver=nbd,node-name={NODE},server.type=unix,server.path={disk.address}"
    return Disk(arguments=("-blockdev", node))


def install_until_cut(disk: VolatileDisk, stage: Stage, folder: Path, *, after: int) -> int:
    """Install, and lose the power at a write some time after the installation has begun; the number of that write."""
    with Server() as server, start(stage.kind, volatile(disk), folder=folder) as machine:
        device = QemuDevice(machine)
        device.boot()
        address = server.add(stage.artifacts[NEW], "update.mender")
        write = disk.writes + after
        disk.plan(PlannedCut(write=write, seed=SEED, unit=SECTOR), machine.kill)
        with pytest.raises(MisbehavedError):
            bistablectl(device, "install", address, seconds=patience.INSTALL)
        assert disk.was_cut.wait(patience.COMMAND)
        return write


@pytest.mark.parametrize("kind", KINDS)
def test_a_live_cut_in_the_middle_of_an_installation_leaves_a_device_that_can_be_updated(
    kind: Kind, tmp_path: Path
) -> None:
    need(kind)
    stage = prepare(kind)
    image = copy_sparse(stage.disk, tmp_path / "disk.img")
    with VolatileDisk(image, tmp_path / "nbd") as disk:
        write = install_until_cut(disk, stage, tmp_path, after=120)
        assert disk.writes == write
    with start(kind, image, folder=tmp_path) as machine:
        device = QemuDevice(machine)
        assert device.boot() == "a"
        assert release_of(device) == FIRST
        bistablectl(device, "recover", allowed=(0, 1))
        status = bistablectl(device, "status")
        assert (status["artifact"], status["update"]) == (FIRST, None)
        assert status["slots"]["state"]["b"]["bootable"] is False
