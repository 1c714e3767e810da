"""Where an update goes on after the client was killed, restarted or updated, or the device lost its power."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bistable.client.machine.record import Mark, Record
from bistable.client.machine.states import ON_TRIAL, State
from bistable.client.model import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What can be seen now. `on_target` is None for updates that have no slots."""

    boot_id: str
    on_target: bool | None = None


RECOVERY: Final[Mapping[State, str]] = {
    State.GATE_DOWNLOAD: "managed: ask at the gate again; standalone: clean up, the command is lost",
    State.PAUSED_DOWNLOAD: "stay paused",
    State.DOWNLOAD: "managed: download again, from where it stopped; standalone: clean up, the command is lost",
    State.GATE_INSTALL: "ask at the gate again",
    State.PAUSED_INSTALL: "stay paused",
    State.INSTALL: "nothing was installed yet: install; else roll back, as it is not known how much was",
    State.GATE_REBOOT: "ask at the gate again",
    State.PAUSED_REBOOT: "stay paused",
    State.REBOOT: "another boot since the reboot was asked for: verify; else ask for it (again)",
    State.VERIFY: "verify again",
    State.CHECK: "check again with what is left of the deadline; the boot loader fell back: roll back",
    State.GATE_COMMIT: "ask at the gate again; the boot loader fell back: roll back",
    State.PAUSED_COMMIT: "stay paused; the boot loader fell back: roll back",
    State.COMMIT: "commit again; the boot loader fell back: roll back",
    State.AFTER_COMMIT: "go on: the update is permanent",
    State.ROLLBACK: "roll back again",
    State.ROLLBACK_REBOOT: "another boot since the reboot was asked for: verify; else ask for it (again)",
    State.VERIFY_ROLLBACK: "verify again",
    State.FAILURE: "tell again",
    State.CLEANUP: "clean up again",
    State.REPORT: "report again",
}
"""State found -> what is done, in words, for the documentation; `recover` does it."""


def recover(record: Record, facts: Facts) -> State:
    """Return the state in which an update found in the store goes on."""
    state = record.state
    rebooted = record.mark is Mark.STARTED and facts.boot_id != record.boot_id
    if state in ON_TRIAL and state is not State.VERIFY and facts.on_target is False:
        return State.ROLLBACK
    match state:
        case State.GATE_DOWNLOAD | State.DOWNLOAD if record.mode is Mode.STANDALONE:
            return State.CLEANUP
        case State.INSTALL if record.install_boot_id is not None:
            return State.ROLLBACK
        case State.REBOOT if rebooted:
            return State.VERIFY
        case State.ROLLBACK_REBOOT if rebooted:
            return State.VERIFY_ROLLBACK
        case _:
            return state
