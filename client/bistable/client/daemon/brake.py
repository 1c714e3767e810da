"""How somebody stops an update that another thread is at."""

from threading import Lock, get_ident

from bistable.client.errors import AbortedError
from bistable.client.machine import TABLE, Event, Record, State


class StoppingError(BaseException):
    """The service ends; what it was at goes on at its next start. No Exception: whatever handles those lets it by."""


class Brake:
    """Asked often by whatever takes long; raises there when somebody wants the update, or the service, to stop."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._record: Record | None = None
        self._leader = 0
        self._reason: tuple[str, str] | None = None
        self._stopping = False

    def entered(self, record: Record | None) -> None:
        """Learn in which state the update is, from the thread that leads it."""
        with self._lock:
            self._record, self._leader = record, get_ident()

    def abort(self, update: str, reason: str) -> None:
        """Have the update of this name stop."""
        with self._lock:
            self._reason = (update, reason)

    def release(self) -> bool:
        """Nobody wants anything to stop any more; return whether somebody still did."""
        with self._lock:
            wanted, self._reason = self._reason is not None, None
            return wanted

    def stop(self) -> None:
        """Have everything stop: the service ends."""
        with self._lock:
            self._stopping = True

    def check(self) -> None:
        """Go on, or stop here.

        Raises:
            AbortedError: the update in progress must not go on, and can still be stopped.
            StoppingError: the service ends.
        """
        with self._lock:
            if self._stopping:
                raise StoppingError
            if self._reason is None or self._record is None or self._reason[0] != self._record.id:
                return
            # What another thread does beside it is no part of the update.
            if self._leader != get_ident():
                return
            # On the way back, and where it is too late, there is nothing left to stop.
            if not _can_be_aborted(self._record.state):
                return
            reason = self._reason[1]
            self._reason = None
        raise AbortedError(f"cannot go on: {reason}")


def _can_be_aborted(state: State) -> bool:
    return (state, Event.ABORTED) in TABLE
