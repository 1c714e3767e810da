"""The ports of an update that a person leads at a command line, without any server."""

from collections.abc import Callable

from bistable.client.deployment.ports import Hold, Open, Verdict
from bistable.client.machine import PAUSES, Record, State
from bistable.client.model import Point

_PAUSE_AT = {point: state for state, point in PAUSES.items()}


class StandaloneGates:
    """Holds an update where its caller wanted it to stop, and before the commit: that is somebody's decision.

    What cannot be rolled back is not held there, for there is nothing left to decide.
    """

    def decide(self, point: Point, record: Record) -> Verdict:
        """Return whether the update may pass."""
        if point in record.passes:
            return Open()
        if _PAUSE_AT[point] in record.stops:
            return Hold(reasons=("the command that began it asked for this stop",))
        if point is Point.COMMIT and record.supports_rollback:
            return Hold(reasons=("it waits for somebody to say commit or rollback",))
        return Open()


class SilentReporter:
    """Tells nobody; `require_reachable` sees whether the new system reaches whom it should, and raises if not."""

    def __init__(self, require_reachable: Callable[[], None]) -> None:
        self._require_reachable = require_reachable

    def tell(self, record: Record, status: str) -> None:
        """Tell nobody."""

    def confirm_reachable(self, _record: Record, /) -> None:
        """See whether a server can be reached, if one has to be."""
        self._require_reachable()

    def finish(self, record: Record) -> None:
        """Tell nobody."""


STOPS = {
    "download": State.PAUSED_DOWNLOAD,
    "install": State.PAUSED_INSTALL,
    "reboot": State.PAUSED_REBOOT,
    "commit": State.PAUSED_COMMIT,
    "ArtifactInstall_Enter": State.PAUSED_INSTALL,
    "ArtifactReboot_Enter": State.PAUSED_REBOOT,
    "ArtifactCommit_Enter": State.PAUSED_COMMIT,
    "ArtifactCommit_Leave": State.AFTER_COMMIT,
    "ArtifactRollback_Enter": State.ROLLBACK,
    "ArtifactFailure_Enter": State.FAILURE,
    "Cleanup": State.CLEANUP,
}
"""What may stand behind --stop-before -> where that stops."""
