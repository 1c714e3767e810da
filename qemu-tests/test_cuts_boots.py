"""The power is cut everywhere in an update that really was made; the device boots, tells the truth, and can be updated.

This is a sample; `python -m bistable.qemu.sweep` does all of it.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bistable.qemu.crash import SECTOR, Prefix, parse_cut
from bistable.qemu.device import QemuDevice
from bistable.qemu.disks import NODE, Disk
from bistable.qemu.kinds import Kind
from bistable.qemu.machine import start
from bistable.qemu.recording import Scenario, record
from bistable.qemu.rig import FIRST, copy_sparse
from bistable.qemu.stage import NEW, Stage, prepare
from bistable.qemu.survey import Film, Judged, choose
from bistable.qemu.trial import Depth, Outcome, boot_cut, release_of
from bistable.qemu.volatile import PlannedCut, VolatileDisk
from bistable.tools.bench import patience
from bistable.tools.bench.device import bistablectl
from bistable.tools.bench.errors import MisbehavedError
from bistable.tools.bench.serving import Server
from boot_bench import need

pytestmark = pytest.mark.boots
SEED = 1
BOOTED = 4
"""Of the cuts around the environment's writes and of other kinds, so many are really booted, for each boot loader."""

KINDS = [pytest.param(kind, id=str(kind)) for kind in (Kind.X86_64_GRUB, Kind.ARM64_UBOOT)]


@pytest.mark.parametrize("kind", KINDS)
def test_after_any_cut_of_an_update_a_whole_system_boots_and_the_client_tells_the_truth(
    kind: Kind, tmp_path: Path
) -> None:
    # One test, because what it begins with takes long, and tests of one module may be spread over several processes.
    need(kind)
    with Film(record(prepare(kind), Scenario.COMMIT)) as film:
        judged = list(film.survey(seed=SEED, losses=1, most_tears=6))
        assert {one.cut: one.findings for one in judged if one.findings} == {}
        assert len(judged) > 300

        in_order = [one.artifact for one in judged if one.cut.startswith("prefix")]
        switch = in_order.index(NEW)
        assert (set(in_order[:switch]), set(in_order[switch:])) == ({FIRST}, {NEW})
        end = film.verdict(Prefix(count=len(film.requests)))
        assert (end.path, end.client.artifact, end.client.record) == ("b", NEW, None)

        assert booted(film, judged, tmp_path) == {}


def booted(film: Film, judged: Sequence[Judged], folder: Path) -> dict[str, Outcome]:
    """Boot some of the cuts; return those that were not as the checker had said, or after which something is wrong."""
    wrong = {}
    for number, cut in enumerate(choose(film, judged, BOOTED, SEED), 1):
        place = folder / str(number)
        place.mkdir()
        with film.at(parse_cut(cut)) as picture:
            verdict = film.checker.check(picture)
            picture.save(place / "disk.img")
        depth = Depth.REPEAT if number == BOOTED else Depth.RECOVER
        outcome = boot_cut(film.recording.stage, place / "disk.img", verdict, place, depth)
        if not outcome.sound:
            wrong[cut] = outcome
        (place / "disk.img").unlink()
    return wrong


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
