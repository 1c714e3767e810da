"""What the service asks the server about deployments: which one there is, and who holds the one in progress."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress

from bistable.artifact.errors import BistableError
from bistable.client.daemon.fleet import Fleet
from bistable.client.deployment.gates import Holder
from bistable.client.deployment.keptmaps import KeptMaps
from bistable.client.errors import AbortedError, ClientError
from bistable.client.machine import Record
from bistable.client.maps import parse_map
from bistable.client.server import GoneError, Offered, OfferError, WithdrawnError

log = logging.getLogger(__name__)


class Asker:
    """Asks the server, and keeps the control maps that it answers with. Without a server nothing is asked."""

    def __init__(self, fleet: Fleet | None, maps: KeptMaps) -> None:
        self._fleet, self._maps = fleet, maps

    # --- an update that may come

    def offered(self, provides: Mapping[str, str]) -> Offered | None:
        """Return the deployment that the server has for a device of which this is true; None if there is none.

        Raises:
            ServerError: the server cannot be asked.
            StoreError: its map cannot be kept.
        """
        fleet = self._fleet
        if fleet is None:
            return None
        try:
            offered = fleet.deployments.next(provides)
        except WithdrawnError as e:
            log.info("%s", e.what)
            return None
        except OfferError as e:
            _refuse(fleet, e.deployment, e)
            return None
        if offered is None:
            return None
        if any(report.deployment == offered.id for report in fleet.reporter.outstanding()):
            # It is done; the server just does not know yet.
            return None
        try:
            control_map = (
                None if offered.control_map is None else parse_map(offered.control_map, required_id=offered.id)
            )
        except ClientError as e:
            _refuse(fleet, offered.id, e)
            return None
        self._maps.set_server(offered.id, control_map)
        return offered

    # --- an update in progress; in any thread

    def ask(self, deployment: str) -> None:
        """Take what the server says now about who holds a deployment.

        Raises:
            AbortedError: there is no such deployment any more.
            ServerError: the server cannot be asked, or its map makes no sense.
        """
        if self._fleet is None:
            return
        try:
            text = self._fleet.deployments.control_map(deployment)
        except GoneError as e:
            raise AbortedError("cannot go on: the server has no such deployment any more") from e
        self._maps.set_server(deployment, None if text is None else parse_map(text, required_id=deployment))

    def tell_in_pause(self, record: Record, holders: Sequence[Holder]) -> str | None:
        """Tell a server without maps that the update still waits; return why it must not, if the server says so.

        Such a server has no other way to say it.
        """
        if self._fleet is None:
            return None
        try:
            self._fleet.reporter.still_held(record, [str(holder) for holder in holders])
        except AbortedError as e:
            return e.reason
        return None


def _refuse(fleet: Fleet, deployment: str | None, error: ClientError) -> None:
    log.info("%s", error.what)
    if deployment is not None:
        with suppress(BistableError):
            fleet.deployments.status(deployment, "failure", error.what)
