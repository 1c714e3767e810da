"""The one table that says where an update goes next. Diagram, documentation and tests are made from it."""

from collections.abc import Mapping
from typing import Final

from bistable.client.errors import ClientError
from bistable.client.machine.states import Event, State

TABLE: Final[Mapping[tuple[State, Event], State]] = {
    (State.IDLE, Event.STARTED): State.GATE_DOWNLOAD,
    (State.GATE_DOWNLOAD, Event.OPENED): State.DOWNLOAD,
    (State.GATE_DOWNLOAD, Event.HELD): State.PAUSED_DOWNLOAD,
    (State.GATE_DOWNLOAD, Event.FAILED): State.CLEANUP,
    (State.GATE_DOWNLOAD, Event.ABORTED): State.CLEANUP,
    (State.PAUSED_DOWNLOAD, Event.CONTINUED): State.GATE_DOWNLOAD,
    (State.PAUSED_DOWNLOAD, Event.ABORTED): State.CLEANUP,
    (State.DOWNLOAD, Event.DONE): State.GATE_INSTALL,
    (State.DOWNLOAD, Event.EMPTY): State.CLEANUP,
    (State.DOWNLOAD, Event.FAILED): State.CLEANUP,
    (State.DOWNLOAD, Event.ABORTED): State.CLEANUP,
    # Until here nothing was installed: whoever stops the update stops it cleanly.
    (State.GATE_INSTALL, Event.OPENED): State.INSTALL,
    (State.GATE_INSTALL, Event.HELD): State.PAUSED_INSTALL,
    (State.GATE_INSTALL, Event.FAILED): State.CLEANUP,
    (State.GATE_INSTALL, Event.ABORTED): State.CLEANUP,
    (State.PAUSED_INSTALL, Event.CONTINUED): State.GATE_INSTALL,
    (State.PAUSED_INSTALL, Event.ABORTED): State.CLEANUP,
    (State.INSTALL, Event.DONE): State.CHECK,
    (State.INSTALL, Event.REBOOT_NEEDED): State.GATE_REBOOT,
    (State.INSTALL, Event.FAILED): State.ROLLBACK,
    (State.INSTALL, Event.ABORTED): State.ROLLBACK,
    (State.GATE_REBOOT, Event.OPENED): State.REBOOT,
    (State.GATE_REBOOT, Event.HELD): State.PAUSED_REBOOT,
    (State.GATE_REBOOT, Event.FAILED): State.ROLLBACK,
    (State.GATE_REBOOT, Event.ABORTED): State.ROLLBACK,
    (State.PAUSED_REBOOT, Event.CONTINUED): State.GATE_REBOOT,
    (State.PAUSED_REBOOT, Event.ABORTED): State.ROLLBACK,
    (State.REBOOT, Event.DONE): State.VERIFY,
    (State.REBOOT, Event.FAILED): State.ROLLBACK,
    (State.REBOOT, Event.ABORTED): State.ROLLBACK,
    (State.VERIFY, Event.DONE): State.CHECK,
    (State.VERIFY, Event.FAILED): State.ROLLBACK,
    (State.VERIFY, Event.ABORTED): State.ROLLBACK,
    (State.CHECK, Event.DONE): State.GATE_COMMIT,
    (State.CHECK, Event.FAILED): State.ROLLBACK,
    (State.CHECK, Event.ABORTED): State.ROLLBACK,
    (State.GATE_COMMIT, Event.OPENED): State.COMMIT,
    (State.GATE_COMMIT, Event.HELD): State.PAUSED_COMMIT,
    (State.GATE_COMMIT, Event.FAILED): State.ROLLBACK,
    (State.GATE_COMMIT, Event.ABORTED): State.ROLLBACK,
    # What was healthy before the pause is asked again: days may have passed.
    (State.PAUSED_COMMIT, Event.CONTINUED): State.CHECK,
    (State.PAUSED_COMMIT, Event.FAILED): State.ROLLBACK,
    (State.PAUSED_COMMIT, Event.ABORTED): State.ROLLBACK,
    (State.COMMIT, Event.DONE): State.AFTER_COMMIT,
    (State.COMMIT, Event.FAILED): State.ROLLBACK,
    (State.COMMIT, Event.ABORTED): State.ROLLBACK,
    # From here on the update is permanent: there is no way back, and a failure only makes it a bad success.
    (State.AFTER_COMMIT, Event.DONE): State.CLEANUP,
    (State.AFTER_COMMIT, Event.FAILED): State.CLEANUP,
    (State.ROLLBACK, Event.DONE): State.FAILURE,
    (State.ROLLBACK, Event.UNDONE): State.CLEANUP,
    (State.ROLLBACK, Event.REBOOT_NEEDED): State.ROLLBACK_REBOOT,
    (State.ROLLBACK, Event.FAILED): State.FAILURE,
    (State.ROLLBACK_REBOOT, Event.DONE): State.VERIFY_ROLLBACK,
    (State.VERIFY_ROLLBACK, Event.DONE): State.FAILURE,
    (State.VERIFY_ROLLBACK, Event.UNDONE): State.CLEANUP,
    (State.VERIFY_ROLLBACK, Event.FAILED): State.ROLLBACK_REBOOT,
    (State.FAILURE, Event.DONE): State.CLEANUP,
    (State.CLEANUP, Event.DONE): State.REPORT,
    (State.REPORT, Event.DONE): State.IDLE,
    # An update that goes in circles is ended where it is, without calling anything of it again.
    **{(state, Event.LOOPED): State.REPORT for state in State if state not in {State.IDLE, State.REPORT}},
}


class TransitionError(ClientError):
    """A state got an event that has no place in it: a fault of the program."""

    code = "transition"


def step(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        TransitionError: the event has no place in this state.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise TransitionError(f"cannot go on from {state.value}: {event.value} has no place there") from None
