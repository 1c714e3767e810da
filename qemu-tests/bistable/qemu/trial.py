"""Really boot a disk as a power cut has left it, and compare what comes up with what the checker has said."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from bistable.client.machine import State
from bistable.qemu.checker import Verdict
from bistable.qemu.device import QemuDevice
from bistable.qemu.machine import Machine, start
from bistable.qemu.recording import install
from bistable.qemu.rig import FIRST, RELEASE_FILE
from bistable.qemu.stage import NEW, NEWER, Stage
from bistable.tools.bench import patience
from bistable.tools.bench.device import bistablectl
from bistable.tools.bench.errors import MisbehavedError

MOST_REBOOTS: Final = 3
"""More than any update needs to come to its end."""

ANY_STATUS: Final = tuple(range(256))
_STARTED: Final = re.compile(r"bistable: (?:trying|booting) slot (\w)")


class Depth(IntEnum):
    """How much is done with a device that has come up; each does what those before it do."""

    LOOK = 1
    """Compare what runs and what the client says with what was foretold."""
    RECOVER = 2
    """Let the client do what it does at every boot, and see what it says then."""
    REPEAT = 3
    """Finish what is in progress, and install and keep one more release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a boot came to. `differences` are what the checker had said otherwise, `faults` what must not be."""

    running: str | None
    differences: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether the device works, and as it was foretold."""
        return not self.differences and not self.faults


def boot_cut(stage: Stage, image: Path, verdict: Verdict, folder: Path, depth: Depth) -> Outcome:
    """Boot the disk, which is written to, and see whether it is as foretold.

    Raises:
        MachineError: QEMU or something else here does not work.
    """
    with start(stage.kind, image, folder=folder) as machine:
        return _observe(machine, stage, verdict, depth)


def _observe(machine: Machine, stage: Stage, verdict: Verdict, depth: Depth) -> Outcome:
    device = QemuDevice(machine)
    before = len(machine.console.lines("bistable: "))
    try:
        slot = device.boot()
        differences = [*_compared(device, stage, verdict, slot, before)]
        faults = [*_recovered(device, slot)] if depth >= Depth.RECOVER else []
        if depth >= Depth.REPEAT and not faults:
            faults += _repeated(device, stage)
    except MisbehavedError as e:
        return Outcome(running=None, faults=(str(e),))
    return Outcome(running=slot, differences=tuple(differences), faults=tuple(faults))


def release_of(device: QemuDevice) -> str:
    """Return the name of what really is in the slot that runs."""
    return device.run(f"cat {RELEASE_FILE}").output.strip()


def _compared(device: QemuDevice, stage: Stage, verdict: Verdict, slot: str, before: int) -> Iterator[str]:
    """Yield in what the device is not as it was foretold."""
    foretold = verdict.running
    if foretold is None:
        yield f"slot {slot} runs, and nothing should"
        return
    tried = [match[1] for line in device.says("bistable: ")[before:] if (match := _STARTED.match(line))]
    number = next(index for index, boot in enumerate(verdict.boots, 1) if boot.starts)
    expected = {
        "slots that were started": (tried, [boot.slot for boot in verdict.boots[:number]]),
        "slot that runs": (slot, foretold.slot),
        "release in it": (release_of(device), foretold.artifact),
    }
    status = bistablectl(device, "status", allowed=ANY_STATUS)
    expected |= _status(status, verdict, foretold.slot)
    for what, (found, wanted) in expected.items():
        if found != wanted:
            yield f"{what}: {found}, foretold was {wanted}"


def _status(status: Mapping[str, Any], verdict: Verdict, slot: str) -> dict[str, tuple[Any, Any]]:
    """Return what the client says, and what was foretold that it would."""
    view = verdict.client
    assert verdict.running is not None
    if not status:
        return {"status of the client": ("none", "none" if view.trouble else "one")}
    record, continues = view.record, view.continues_in(slot)
    update = status["update"]
    slots = status["slots"] or {}
    return {
        "slot that runs, says the client": (slots.get("running"), slot),
        "whether it is good, says the client": (slots["state"][slot]["good"] if slots else None, verdict.running.good),
        "artifact, says the client": (status["artifact"], view.artifact or verdict.running.artifact),
        "state of the update": (update and update["state"], record and record.state.value),
        "how the update goes on": (update and update["continues_in"], continues and continues.value),
    }


def _recovered(device: QemuDevice, slot: str) -> Iterator[str]:
    """Let the client do what it does at every boot, and yield what is not true then."""
    bistablectl(device, "recover", seconds=patience.INSTALL, allowed=(0, 1))
    status = bistablectl(device, "status")
    release, update = release_of(device), status["update"]
    if status["slots"] is None or status["slots"]["running"] != slot:
        yield f"after 'recover' the client says that {status['slots'] and status['slots']['running']} runs, not {slot}"
    elif update is None:
        if status["artifact"] != release:
            yield f"after 'recover' the client says that {status['artifact']} runs, but {release} does"
        if not status["slots"]["state"][slot]["good"]:
            yield f"after 'recover' no update is in progress, but slot {slot} is not good"
    elif update["continues_in"] == State.PAUSED_COMMIT.value and release == FIRST:
        yield f"after 'recover' the client says that an update is on trial, but {release} runs"


def _repeated(device: QemuDevice, stage: Stage) -> Iterator[str]:
    """Finish what is in progress, then install another release and keep it; yield what went wrong."""
    for _ in range(MOST_REBOOTS):
        if bistablectl(device, "status")["update"] is None:
            break
        # What is on trial is kept. What waits for a reboot, on its way there or back, gets one.
        bistablectl(device, "commit", seconds=patience.INSTALL, allowed=ANY_STATUS)
        if bistablectl(device, "status")["update"] is not None:
            device.reboot()
            bistablectl(device, "recover", seconds=patience.INSTALL, allowed=ANY_STATUS)
    wanted = NEW if release_of(device) == NEWER else NEWER
    install(device, stage.artifacts[wanted])
    slot = device.reboot()
    bistablectl(device, "commit", seconds=patience.INSTALL, allowed=ANY_STATUS)
    status = bistablectl(device, "status")
    if (release_of(device), status["artifact"], status["update"]) != (wanted, wanted, None):
        yield f"the update could not be repeated: slot {slot} runs {release_of(device)}, and the client says {status}"
