"""Record all that a machine writes to its disk while it is really updated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bistable.qemu import cache
from bistable.qemu.device import QemuDevice
from bistable.qemu.disks import NODE, Disk
from bistable.qemu.machine import start
from bistable.qemu.rig import copy_sparse
from bistable.qemu.stage import BROKEN, KEPT, NEW, NEWER, Stage
from bistable.qemu.writelog import WriteLog
from bistable.tools.bench import patience
from bistable.tools.bench.device import bistablectl
from bistable.tools.bench.errors import MisbehavedError
from bistable.tools.bench.serving import Server

LOG: Final = "writes.log"


class Scenario(StrEnum):
    """What happens to the machine."""

    COMMIT = "commit"
    """Install, reboot, commit."""
    ROLLBACK = "rollback"
    """Install, reboot, and never commit: the tries are used up and what ran before comes back."""
    BROKEN = "broken"
    """Install something that cannot be booted: the boot loader falls back by itself."""
    TWICE = "twice"
    """Install and commit; then once more, into the slot of the old system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What one machine wrote in one scenario, from the first switching on to the last switching off."""

    stage: Stage
    scenario: Scenario
    folder: Path

    def log(self) -> WriteLog:
        """Open the log.

        Raises:
            RejectedError: it is damaged.
        """
        return WriteLog(self.folder / LOG)


def record(stage: Stage, scenario: Scenario) -> Recording:
    """Return what the machine writes; it is run if it has not been run with the same disk before.

    Raises:
        MisbehavedError: it does not do what the scenario says.
        MachineError: something that this needs is missing.
    """

    def make(folder: Path) -> None:
        folder.mkdir()
        work, log = copy_sparse(stage.disk, folder / "work.img"), folder / LOG
        log.touch()
        with start(stage.kind, recorded(work, log), folder=folder) as machine:
            SCENARIOS[scenario](QemuDevice(machine), stage)
        work.unlink()

    key = cache.digest(stage.name, scenario, Path(__file__))
    folder = cache.made(f"cut-recording-{stage.kind}-{scenario}", key, make, kept=KEPT)
    return Recording(stage=stage, scenario=scenario, folder=folder)


def recorded(image: Path, log: Path) -> Disk:
    """Return the image as a disk of which every write is recorded in `log`, an empty file."""
    # What the machine flushes is in the log; whether this computer's disk has it matters to nobody.
    nodes = (
        f"driver=file,node-name=image,filename={image},cache.no-flush=on",
        f"driver=file,node-name=log,filename={log},cache.no-flush=on",
        f"driver=blklogwrites,node-name={NODE},file=image,log=log,log-sector-size=512,log-super-update-interval=1",
    )
    return Disk(arguments=tuple(word for node in nodes for word in ("-blockdev", node)))


def install(device: QemuDevice, artifact: Path) -> None:
    """Install an artifact over the network, up to where the device has to be rebooted."""
    with Server() as server:
        said = bistablectl(device, "install", server.add(artifact, "update.mender"), seconds=patience.INSTALL)
    if not said["reboot_required"]:
        raise MisbehavedError(f"the device does not want to be rebooted: {said}", console=device.machine.console.text())


def _commit(device: QemuDevice, stage: Stage) -> None:
    _runs(device, device.boot(), "a")
    install(device, stage.artifacts[NEW])
    _runs(device, device.reboot(), "b")
    bistablectl(device, "commit", seconds=patience.INSTALL)
    device.shut_down()


def _rollback(device: QemuDevice, stage: Stage) -> None:
    _runs(device, device.boot(), "a")
    install(device, stage.artifacts[NEW])
    for slot in ("b", "b", "b", "a"):
        _runs(device, device.reboot(), slot)
    bistablectl(device, "recover", seconds=patience.INSTALL, allowed=(0, 1))
    device.shut_down()


def _broken(device: QemuDevice, stage: Stage) -> None:
    _runs(device, device.boot(), "a")
    install(device, stage.artifacts[BROKEN])
    _runs(device, device.reboot(), "a")
    bistablectl(device, "recover", seconds=patience.INSTALL, allowed=(0, 1))
    device.shut_down()


def _twice(device: QemuDevice, stage: Stage) -> None:
    _runs(device, device.boot(), "a")
    for name, slot in ((NEW, "b"), (NEWER, "a")):
        install(device, stage.artifacts[name])
        _runs(device, device.reboot(), slot)
        bistablectl(device, "commit", seconds=patience.INSTALL)
    device.shut_down()


SCENARIOS: Final[Mapping[Scenario, Callable[[QemuDevice, Stage], None]]] = {
    Scenario.COMMIT: _commit,
    Scenario.ROLLBACK: _rollback,
    Scenario.BROKEN: _broken,
    Scenario.TWICE: _twice,
}


def _runs(device: QemuDevice, slot: str, expected: str) -> None:
    if slot != expected:
        raise MisbehavedError(f"slot {slot} runs, not {expected}", console=device.machine.console.text())
