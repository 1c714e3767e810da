"""Tells the server how a deployment goes: what can be lost on the way at once, the result for as long as it takes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Final, Protocol

from bistable.artifact.errors import RejectedError
from bistable.artifact.jsonio import encode, parse_object
from bistable.client.errors import AbortedError, HealthError, ServerError
from bistable.client.machine import STATUSES, Record, State
from bistable.client.server import LogLine, Patience, TransientServerError, WithdrawnError

KEY: Final = "reports-outstanding"
"""Where the store keeps what the server has still to be told."""

OUTSTANDING: Final = 20
"""Results that are kept for a server that cannot be reached; of more, the oldest are lost."""

PASSING: Final = Patience(attempts=2, longest=5.0)
"""For what an update must not wait for."""

IN_PASSING: Final = Patience(attempts=1)
"""For words on the side: without a server, an update with many scripts must not take longer for each of them."""

LASTING: Final = Patience(attempts=3, longest=60.0)
"""For a result. Afterwards it is told at the next poll, and the next, and the next."""

SUCCESS: Final = "success"
FAILURE: Final = "failure"
INSTALLING: Final = STATUSES[State.INSTALL]
REBOOTING: Final = STATUSES[State.REBOOT]

CURRENT: Final[Mapping[State, str]] = {
    **STATUSES,
    State.GATE_DOWNLOAD: STATUSES[State.DOWNLOAD],
    State.PAUSED_DOWNLOAD: STATUSES[State.DOWNLOAD],
    State.GATE_INSTALL: STATUSES[State.DOWNLOAD],
    State.VERIFY: REBOOTING,
    State.ROLLBACK_REBOOT: REBOOTING,
    State.VERIFY_ROLLBACK: REBOOTING,
}
"""State -> the status that a substate is told with; in all others it is `installing`. Never a final one: the update is
not over as long as something runs that could tell a substate."""

log = logging.getLogger(__name__)


class Deployments(Protocol):
    """The server's side of a deployment."""

    def status(self, deployment: str, status: str, substate: str | None = None, patience: Patience = ...) -> None:
        """Tell how far it is."""
        ...

    def log(self, deployment: str, lines: Sequence[LogLine], patience: Patience = ...) -> None:
        """Send its log."""
        ...


class Kept(Protocol):
    """What remembers single values durably."""

    def value(self, key: str) -> str | None:
        """Return what was last kept under a key."""
        ...

    def keep_value(self, key: str, value: str) -> None:
        """Keep a value under a key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How it is found out whether a new system still reaches the server: so many attempts, so many seconds apart."""

    attempts: int
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a deployment ended. `told` is whether the server knows that, and only the log is still to be sent."""

    deployment: str
    status: str
    substate: str | None = None
    told: bool = False


class ServerReporter:
    """Reports to the server. Record and deployment have the same identifier.

    `forget_login` makes the next request log in first; `read_log` returns the log of a deployment. Without `reach` a
    new system need not reach the server to be kept.
    """

    def __init__(
        self,
        deployments: Deployments,
        kept: Kept,
        *,
        forget_login: Callable[[], None] = lambda: None,
        read_log: Callable[[str], Sequence[LogLine]] = lambda _deployment: (),
        reach: Reach | None = None,
    ) -> None:
        self._deployments, self._kept = deployments, kept
        self._forget_login, self._read_log = forget_login, read_log
        self._reach = reach
        self._record: Record | None = None
        self._holder: tuple[str, State, str] | None = None
        self._turn = Lock()

    # --- while the update is in progress

    def entered(self, record: Record) -> None:
        """Learn in which state the update is; nothing is told."""
        self._record = record

    def tell(self, record: Record, status: str) -> None:
        """Tell a status; that the server cannot be reached is not an error.

        Raises:
            AbortedError: the update must not go on.
        """
        self._record = record
        try:
            self._tell(record.id, status, None, PASSING)
        except ServerError as e:
            log.info("%s", e.what)

    def substate(self, words: str) -> None:
        """Tell what exactly is done. The answer does not matter: the next status gets the same one.

        Raises:
            AbortedError: somebody at the device says that the update must not go on.
        """
        if self._record is not None:
            with suppress(WithdrawnError):
                self._mention(self._record, words)

    def held(self, record: Record, reasons: Sequence[str]) -> None:
        """Tell who or what holds a paused update; again only when it is somebody else.

        Raises:
            AbortedError: it must not go on.
        """
        self._record = record
        words = _held_by(reasons)
        holder = record.id, record.state, words
        if reasons and holder != self._holder and self._mention(record, words):
            self._holder = holder

    def still_held(self, record: Record, reasons: Sequence[str]) -> None:
        """Tell again that a paused update waits, and hear whether it still should; in any thread.

        Raises:
            AbortedError: it must not go on.
        """
        words = _held_by(reasons) if reasons else None
        try:
            self._tell(record.id, CURRENT.get(record.state, INSTALLING), words, IN_PASSING)
        except ServerError as e:
            log.info("%s", e.what)

    def _tell(self, deployment: str, status: str, words: str | None, patience: Patience) -> None:
        # One after the other: what a paused update was must not arrive after what it is now.
        with self._turn:
            self._deployments.status(deployment, status, words, patience)

    def confirm_reachable(self, record: Record, /) -> None:
        """Log in anew and tell the server something, if a new system has to be able to do that.

        Raises:
            HealthError: it cannot.
            AbortedError: the update must not go on.
        """
        if self._reach is None:
            return
        self._forget_login()
        # A server that asks for patience is alive, but asks for it longer than a system may be on trial.
        patience = Patience(attempts=self._reach.attempts, longest=self._reach.interval, steady=self._reach.interval)
        try:
            self._tell(record.id, INSTALLING, None, patience)
        except ServerError as e:
            raise HealthError(
                f"cannot reach the server from the new system: {e.what}",
                hint="commit.require-server-reachable wants that before an update is kept",
            ) from e

    def _mention(self, record: Record, words: str) -> bool:
        status = CURRENT.get(record.state, INSTALLING)
        try:
            self._tell(record.id, status, words, IN_PASSING)
        except ServerError as e:
            log.info("%s", e.what)
            return False
        return True

    # --- when it is over

    def finish(self, record: Record) -> None:
        """Make durable how the update ended, then tell it; what cannot be told now is told by `send_outstanding`.

        So a server that is gone holds up no other update, and a success is told as one, whenever that is.

        Raises:
            StoreError: it cannot be made durable.
        """
        report = _result_of(record)
        others = [other for other in self.outstanding() if other.deployment != record.id]
        self._keep([*others, report])
        self._record = None
        self._settle(report)

    def outstanding(self) -> list[Report]:
        """Return what the server has still to be told, the oldest first."""
        text = self._kept.value(KEY)
        if text is None:
            return []
        try:
            return _parse(text)
        except RejectedError as e:
            log.info("what the server has still to be told cannot be read: %s", e.what)
            return []

    def send_outstanding(self) -> bool:
        """Tell what is still to be told; return whether the server knows all results now.

        Until then it may offer again what the device has done already: see `outstanding`.

        Raises:
            StoreError: it cannot be made durable what was told.
        """
        return all(self._settle(report) for report in self.outstanding())

    def _settle(self, report: Report) -> bool:
        """Tell one result; return whether the server knows it now, or does not want to."""
        if not report.told:
            try:
                self._tell(report.deployment, report.status, report.substate, LASTING)
            except (ServerError, AbortedError) as e:
                if isinstance(e, TransientServerError) or not isinstance(e, ServerError | WithdrawnError):
                    log.info("the server has still to be told how the deployment ended: %s", e.what)
                    return False
                log.info("the server does not want to know how the deployment ended: %s", e.what)
                self._drop(report)
                return True
        if report.status == FAILURE and not self._log_sent(report):
            return True
        self._drop(report)
        return True

    def _log_sent(self, report: Report) -> bool:
        """Send the log; what time cannot heal counts as sent."""
        told = replace(report, told=True)
        self._keep([told if other.deployment == report.deployment else other for other in self.outstanding()])
        lines = self._read_log(report.deployment)
        try:
            if lines:
                self._deployments.log(report.deployment, lines, LASTING)
        except (TransientServerError, AbortedError) as e:
            log.info("the log of the deployment is still to be sent: %s", e.what)
            return isinstance(e, WithdrawnError)
        except ServerError as e:
            log.info("the server does not want the log of the deployment: %s", e.what)
        return True

    def _drop(self, report: Report) -> None:
        self._keep([other for other in self.outstanding() if other.deployment != report.deployment])

    def _keep(self, reports: Sequence[Report]) -> None:
        values = [
            {"deployment": one.deployment, "status": one.status, "substate": one.substate, "told": one.told}
            for one in reports[-OUTSTANDING:]
        ]
        self._kept.keep_value(KEY, encode({"reports": values}).decode())


def _held_by(reasons: Sequence[str]) -> str:
    return "held by " + "; ".join(reasons)


def _result_of(record: Record) -> Report:
    """Return the final status: only what is permanent and went well is a success."""
    if record.committed and not record.failed:
        return Report(deployment=record.id, status=SUCCESS)
    return Report(
        deployment=record.id, status=FAILURE, substate=None if record.trouble is None else record.trouble.what
    )


def _parse(text: str) -> list[Report]:
    fields = parse_object(text.encode(), member="the outstanding reports")
    entries = fields.get("reports")
    if not isinstance(entries, list):
        raise RejectedError("cannot use the outstanding reports: there is no list of them")
    return [_report(entry) for entry in entries]


def _report(entry: Any) -> Report:
    if not isinstance(entry, dict):
        raise RejectedError("cannot use an outstanding report: it is no object")
    deployment, status, substate = (entry.get(name) for name in ("deployment", "status", "substate"))
    if not isinstance(deployment, str) or status not in {SUCCESS, FAILURE} or not isinstance(substate, str | None):
        raise RejectedError("cannot use an outstanding report: it is not what was stored")
    return Report(deployment=deployment, status=status, substate=substate, told=entry.get("told") is True)
