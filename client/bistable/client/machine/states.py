"""The states of an update, and the events that lead from one to another."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from bistable.client.model import Point


class State(Enum):
    """Where an update is, and what is done there. The values are what stores hold, so they never change."""

    IDLE = "idle"
    """There is no update."""
    GATE_DOWNLOAD = "gate-download"
    """Ask whether the download may begin."""
    PAUSED_DOWNLOAD = "paused-before-download"
    """Held until somebody lets it go on; nothing was fetched."""
    DOWNLOAD = "download"
    """Fetch the artifact, check it, and write its payload where nothing uses it yet."""
    GATE_INSTALL = "gate-install"
    """Ask whether the installation may begin."""
    PAUSED_INSTALL = "paused-before-install"
    """Held; the payload is there, nothing is installed."""
    INSTALL = "install"
    """Install the payload."""
    GATE_REBOOT = "gate-reboot"
    """Ask whether the device may be rebooted."""
    PAUSED_REBOOT = "paused-before-reboot"
    """Held; installed, and a power cut still boots what ran before."""
    REBOOT = "reboot"
    """Have the boot loader try the new slot, and reboot (or let the payload restart what it wants)."""
    VERIFY = "verify-reboot"
    """See whether the device really was rebooted, and runs what was installed."""
    CHECK = "check"
    """See whether the new system is healthy and reaches its server."""
    GATE_COMMIT = "gate-commit"
    """Ask whether the update may be made permanent."""
    PAUSED_COMMIT = "paused-before-commit"
    """Held; the new system runs on trial."""
    COMMIT = "commit"
    """Make the update permanent."""
    AFTER_COMMIT = "after-commit"
    """It is permanent; run what wants to know."""
    ROLLBACK = "rollback"
    """Undo the installation."""
    ROLLBACK_REBOOT = "rollback-reboot"
    """Reboot into what ran before."""
    VERIFY_ROLLBACK = "verify-rollback"
    """See whether the device runs again what it ran before."""
    FAILURE = "failure"
    """Tell scripts and payload that the update failed."""
    CLEANUP = "cleanup"
    """Remove what the update needed on its way."""
    REPORT = "report"
    """Tell the server how it ended."""


class Event(Enum):
    """What a state's action came to."""

    STARTED = "started"
    """An update was asked for."""
    OPENED = "opened"
    """Nobody holds the update at this gate."""
    HELD = "held"
    """Somebody does."""
    CONTINUED = "continued"
    """Somebody let it go on, or what held it is gone: ask at the gate again."""
    DONE = "done"
    """The action succeeded."""
    EMPTY = "empty"
    """The artifact has no payload: what it provides is all there is."""
    REBOOT_NEEDED = "reboot-needed"
    """The action succeeded and the device has to be rebooted."""
    UNDONE = "undone"
    """Rolled back because somebody asked for it; nothing failed."""
    FAILED = "failed"
    """The action failed."""
    ABORTED = "aborted"
    """Somebody said that the update must not go on."""
    LOOPED = "looped"
    """The update went through more states than any can."""


GATES: Final[Mapping[State, Point]] = {
    State.GATE_DOWNLOAD: Point.DOWNLOAD,
    State.GATE_INSTALL: Point.INSTALL,
    State.GATE_REBOOT: Point.REBOOT,
    State.GATE_COMMIT: Point.COMMIT,
}
"""Gate -> the point it guards."""

PAUSES: Final[Mapping[State, Point]] = {
    State.PAUSED_DOWNLOAD: Point.DOWNLOAD,
    State.PAUSED_INSTALL: Point.INSTALL,
    State.PAUSED_REBOOT: Point.REBOOT,
    State.PAUSED_COMMIT: Point.COMMIT,
}
"""Pause -> the point where the update waits."""

UNCOUNTED: Final = frozenset({State.IDLE, *GATES, *PAUSES, State.REPORT})
"""States that an update may come through any number of times: they do not count against the loop limit."""

ON_TRIAL: Final = frozenset({State.VERIFY, State.CHECK, State.GATE_COMMIT, State.PAUSED_COMMIT, State.COMMIT})
"""States in which the new slot runs and is not yet permanent."""

STATUSES: Final[Mapping[State, str]] = {
    State.DOWNLOAD: "downloading",
    State.PAUSED_INSTALL: "pause_before_installing",
    State.INSTALL: "installing",
    State.PAUSED_REBOOT: "pause_before_rebooting",
    State.REBOOT: "rebooting",
    State.PAUSED_COMMIT: "pause_before_committing",
    State.COMMIT: "installing",
}
"""State -> the deployment status a server is told of it; the others tell nothing by themselves."""
