"""What the server has for this device, and what it is told of that."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

from bistable.artifact.limits import MIB
from bistable.client.errors import ServerError, UsageError
from bistable.client.server.door import refusal
from bistable.client.server.failures import GoneError, TransientServerError, WithdrawnError
from bistable.client.server.message import Answer, Method, Request
from bistable.client.server.session import NOT_FOUND, Caller, Patience
from bistable.client.server.wire import (
    LogLine,
    Offered,
    log_body,
    parse_control_map,
    parse_offer,
    provides_body,
    provides_body_v2,
    provides_query,
    status_body,
)

V1: Final = "/api/devices/v1/deployments/device/deployments"
V2: Final = "/api/devices/v2/deployments/device/deployments"

STATUSES: Final = frozenset(
    {
        "downloading",
        "pause_before_installing",
        "installing",
        "pause_before_rebooting",
        "rebooting",
        "pause_before_committing",
        "success",
        "failure",
        "already-installed",
    }
)
"""What a device may say of a deployment."""

SUBSTATE_SIZE: Final = 1000
LOG_SIZE: Final = MIB
"""The largest log that is sent; servers refuse much larger ones."""

NO_CONTENT: Final = 204
CONFLICT: Final = 409
UNKNOWN_PATH: Final = frozenset({404, 405, 501})

USUAL: Final = Patience()


def _next_v2(provides: Mapping[str, str]) -> Request:
    return Request(method=Method.POST, path=f"{V2}/next", body=provides_body_v2(provides))


def _next_v1(provides: Mapping[str, str]) -> Request:
    return Request(method=Method.POST, path=f"{V1}/next", body=provides_body(provides))


def _next_oldest(provides: Mapping[str, str]) -> Request:
    query = provides_query(provides)
    return Request(method=Method.GET, path=f"{V1}/next" + (f"?{query}" if query else ""))


WAYS: Final[tuple[Callable[[Mapping[str, str]], Request], ...]] = (_next_v2, _next_v1, _next_oldest)
"""How to ask for the next deployment, the newest way first."""


class Deployments:
    """The deployments of this device."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._ways: dict[str, int] = {}

    def next(self, provides: Mapping[str, str], patience: Patience = USUAL) -> Offered | None:
        """Return the next deployment; `provides` has the device type in it, as `device_type`.

        Raises:
            WithdrawnError: the deployment that the device was offered has ended, since the device provides other things
                than it did then.
            OfferError: the offer makes no sense.
            TransientServerError: the server could not be asked.
            ServerError: it refuses to say.
        """
        while True:
            answer = self._caller.call(lambda server: WAYS[self._ways.get(server, 0)](provides), patience)
            if answer.status not in UNKNOWN_PATH:
                return _offer_of(answer)
            way = self._ways.get(answer.server, 0) + 1
            if way == len(WAYS):
                # It may be another program by the next time, or be mended.
                self._ways.pop(answer.server, None)
                raise ServerError(
                    "cannot ask for a deployment: the server knows none of the ways to ask", hint="check server.urls"
                )
            self._ways[answer.server] = way

    def control_map(self, deployment: str, patience: Patience = USUAL) -> str | None:
        """Return the control map of a deployment as JSON that is not understood yet; None if it has none.

        Raises:
            GoneError: there is no such deployment any more.
            TransientServerError: the server could not be asked.
            ServerError: it refuses to say, or its answer makes no sense.
        """
        answer = self._caller.call(Request(method=Method.GET, path=f"{V2}/{deployment}/update_control_map"), patience)
        if answer.status == NO_CONTENT:
            return None
        if not answer.good:
            _refused("get the control map", answer)
        return parse_control_map(answer.body)

    def status(self, deployment: str, status: str, substate: str | None = None, patience: Patience = USUAL) -> None:
        """Tell how far a deployment is.

        Raises:
            WithdrawnError: somebody said on the server that it must not go on.
            GoneError: there is no such deployment any more.
            TransientServerError: the server could not be told.
            ServerError: it refuses to know.
        """
        if status not in STATUSES:
            raise UsageError(f"cannot tell the server the status {status!r}: there is none of this name")
        words = None if substate is None else substate[:SUBSTATE_SIZE]
        answer = self._caller.call(
            Request(method=Method.PUT, path=f"{V1}/{deployment}/status", body=status_body(status, words)), patience
        )
        if answer.status == CONFLICT:
            raise WithdrawnError("cannot go on: the deployment was aborted on the server")
        if not answer.good:
            _refused("tell the server the status", answer)

    def log(
        self, deployment: str, lines: Sequence[LogLine], patience: Patience = USUAL, *, limit: int = LOG_SIZE
    ) -> None:
        """Send the log of a deployment, or as much of its end as the limit allows.

        Raises:
            GoneError, TransientServerError, ServerError: as for `status`.
        """
        answer = self._caller.call(
            Request(method=Method.PUT, path=f"{V1}/{deployment}/log", body=log_body(lines, limit)), patience
        )
        if not answer.good:
            _refused("send the log", answer)


def _offer_of(answer: Answer) -> Offered | None:
    if answer.status == NO_CONTENT:
        return None
    if answer.status == CONFLICT:
        raise WithdrawnError(f"cannot go on with the deployment: {refusal(answer)}")
    if not answer.good:
        _refused("ask for a deployment", answer)
    return parse_offer(answer.body)


def _refused(what: str, answer: Answer) -> NoReturn:
    why = f"cannot {what}: {refusal(answer)}"
    if answer.status != NOT_FOUND:
        raise ServerError(why)
    # A server says in JSON, or with nothing, that it does not know a deployment. What else answers 404 is something in
    # front of a server that is just not there, and must not end an update.
    if answer.body.strip() and not answer.body.lstrip().startswith(b"{"):
        raise TransientServerError(why, hint="this is no answer of the device API: is the server being maintained?")
    raise GoneError(why)
