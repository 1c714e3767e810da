"""What the service does in its one worker thread: ask the server, lead updates. All of it blocks, nothing overlaps."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bistable.client.daemon.asker import Asker
from bistable.client.daemon.brake import Brake
from bistable.client.daemon.fleet import Fleet, log_directory
from bistable.client.deployment.device import Device
from bistable.client.deployment.engine import Engine, Stand
from bistable.client.deployment.first import LEGACY, UNKNOWN, heal, settle
from bistable.client.deployment.gates import Holder, ManagedGates
from bistable.client.deployment.keptmaps import KeptMaps
from bistable.client.deployment.locks import leading_alone
from bistable.client.deployment.pauses import KeptPauses
from bistable.client.deployment.ports import Verdict
from bistable.client.deployment.standalone import SilentReporter
from bistable.client.errors import AbortedError, ClientError, NothingToDoError
from bistable.client.machine import PAUSES, Record, State
from bistable.client.model import Mode, Point
from bistable.client.server import DeploymentLog
from bistable.client.store import Store
from bistable.client.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What may hold an update."""

    gates: ManagedGates
    maps: KeptMaps
    pauses: KeptPauses

    def holders(self, record: Record) -> Sequence[Holder]:
        """Return who holds an update where it waits; nobody does if it does not wait."""
        point = PAUSES.get(record.state)
        return () if point is None else self.gates.holders(point, record)


class _Gates:
    """The gates, with somebody's wish to stop heard first."""

    def __init__(self, gates: ManagedGates, brake: Brake) -> None:
        self._gates, self._brake = gates, brake

    def decide(self, point: Point, record: Record) -> Verdict:
        """Return whether the update may pass."""
        self._brake.check()
        return self._gates.decide(point, record)


class _Reporter:
    """Reports deployments to the server that offered them; nobody else asks about others."""

    def __init__(self, fleet: Fleet | None, device: Device) -> None:
        self._server = None if fleet is None else fleet.reporter
        self._silent = SilentReporter(device.require_reachable)

    def tell(self, record: Record, status: str) -> None:
        """Tell a status."""
        if self._server is not None and record.offered:
            self._server.tell(record, status)

    def confirm_reachable(self, record: Record, /) -> None:
        """See whether the new system reaches its server."""
        if self._server is not None and record.offered:
            self._server.confirm_reachable(record)
        else:
            self._silent.confirm_reachable(record)

    def finish(self, record: Record) -> None:
        """Tell how it ended."""
        if self._server is not None and record.offered:
            self._server.finish(record)


class Leader:
    """Leads updates for the service. Everything is called in the worker thread, one call after the other.

    `on_record` is told of each state, `on_substate` what is done in it.
    """

    def __init__(
        self,
        device: Device,
        store: Store,
        fleet: Fleet | None,
        asker: Asker,
        holding: Holding,
        brake: Brake,
        *,
        on_record: Callable[[Record], None],
        on_substate: Callable[[str], None],
    ) -> None:
        self._device, self._store, self._brake = device, store, brake
        self._fleet, self._asker, self._holding = fleet, asker, holding
        self._on_record, self._on_substate = on_record, on_substate
        self._log: DeploymentLog | None = None
        self._scripts = device.scripts(self._substate)
        self._idle = False
        parts = replace(
            device.parts(store, patient=True),
            gates=_Gates(holding.gates, brake),
            reporter=_Reporter(fleet, device),
            scripts=self._scripts,
            on_record=self._entered,
        )
        self._engine = Engine(parts)

    # --- what the engine tells on its way

    def _entered(self, record: Record) -> None:
        self._brake.entered(record)
        if self._fleet is not None and record.offered:
            self._fleet.reporter.entered(record)
        if self._log is None and record.state is not State.IDLE:
            self._log = DeploymentLog.start(log_directory(self._device), record.id)
        self._on_substate("")
        if record.state is not State.IDLE:
            # How it ended is told with its end, by whoever had it led.
            self._on_record(record)

    def _substate(self, words: str) -> None:
        self._on_substate(words)
        record = self._engine.current()
        if self._fleet is not None and record is not None and record.offered:
            self._fleet.reporter.substate(words)

    # --- what the service asks for

    def begin_service(self) -> Stand:
        """Make ready: fill a new store, see to the running slot, go on with what was interrupted."""
        with self._alone():
            for words in settle(self._store, self._device, LEGACY):
                log.info("%s", words)
            if (record := self._engine.current()) is not None:
                self._entered(record)
                return self._after(self._engine.recover())
            self._heal()
            self._rest()
            return Stand(record=None)

    def recover(self) -> Stand:
        """Go on with an update that waited for a reboot which did not come."""
        with self._alone():
            return self._after(self._engine.recover())

    def reconsider(self) -> Stand:
        """Ask again whether a paused update may go on."""
        with self._alone():
            return self._after(self._engine.reconsider())

    def look_again(self) -> Stand:
        """Bring the maps up to date by the clock and by the server, then ask again who holds the update."""
        self._holding.maps.tick()
        record = self._engine.current()
        if record is not None and record.offered and record.state in PAUSES:
            if self._holding.maps.has_server_map(record.id):
                gone = self._holding.gates.ask(record.id)
            else:
                gone = self._asker.tell_in_pause(record, self._holding.holders(record))
            if gone is not None:
                return self.abort(record.id, gone)
        return self.reconsider()

    def proceed(self, update: str, point: Point, *, force: bool) -> Stand:
        """Let an update go on that waits at a point."""
        with self._alone():
            record = self._require(update)
            if PAUSES.get(record.state) is not point:
                raise ClientError(f"cannot go on: the update does not wait before the {point.value}")
            return self._after(self._engine.force() if force else self._engine.resume())

    def abort(self, update: str, reason: str) -> Stand:
        """Stop an update."""
        with self._alone():
            wanted = self._brake.release()
            record = self._engine.current()
            if record is None or record.id != update or (record.aborted and not wanted):
                # It heard the brake, and is over, or on its way back.
                return Stand(record=record, last=record)
            return self._after(self._engine.abort(reason))

    def commit(self) -> Stand:
        """Keep the update on trial."""
        with self._alone():
            return self._after(self._engine.commit())

    def rollback(self) -> Stand:
        """Undo the update."""
        with self._alone():
            return self._after(self._engine.rollback())

    def install(self, where: str, job: str, stops: Sequence[Point]) -> Stand:
        """Install an artifact that somebody on the device has."""
        with self._alone():
            self._heal()
            waits = {point: state for state, point in PAUSES.items()}
            places = frozenset(waits[point] for point in stops)
            return self._after(self._engine.begin(where, name=job, mode=Mode.MANAGED, stops=places))

    def poll(self) -> Stand:
        """Ask the server for a deployment, and lead it as far as it goes.

        Raises:
            ServerError: it cannot be asked.
        """
        if self._fleet is None:
            raise ClientError("cannot ask for an update: no server is configured", hint="set server.urls")
        with self._alone():
            if (record := self._engine.current()) is not None:
                return Stand(record=record, last=record)
            self._holding.maps.tick()
            self._fleet.reporter.send_outstanding()
            with self._synced():
                provides = {**self._store.provides(), "device_type": self._device.device_type() or UNKNOWN}
                offered = self._asker.offered(provides)
            if offered is None:
                self._rest()
                return Stand(record=None)
            self._heal()
            begun = self._engine.begin(offered.uri, name=offered.id, mode=Mode.MANAGED, offered=True)
            return self._after(begun)

    def send_inventory(self, *, full: bool) -> None:
        """Tell the server what the device is and has; without `full` only if it is something new."""
        if self._fleet is None:
            raise ClientError("cannot send the inventory: no server is configured", hint="set server.urls")
        from bistable.client.attributes import inventory

        provides = self._store.provides()
        given = {
            **provides,
            "device_type": self._device.device_type() or UNKNOWN,
            "bistable_client_version": VERSION,
        }
        found = inventory(self._device.settings.attributes.inventory_dirs, given, check=self._brake.check)
        with self._synced():
            if full:
                self._fleet.inventory.send(found)
            else:
                self._fleet.inventory.send_changed(found)

    def login(self) -> None:
        """Log in at the server anew."""
        if self._fleet is None:
            raise ClientError("cannot log in: no server is configured", hint="set server.urls")
        self._fleet.authenticator.login()

    # --- parts of it

    def _require(self, update: str) -> Record:
        record = self._engine.current()
        if record is None or (update and record.id != update):
            raise NothingToDoError("cannot find this update: it is not in progress")
        return record

    def _heal(self) -> None:
        for words in heal(self._device, self._device.health()):
            log.info("%s", words)

    def _after(self, stand: Stand) -> Stand:
        """See to what comes with a rest, or with the end, of an update."""
        record = stand.record
        if record is not None:
            if record.state in PAUSES and self._fleet is not None and record.offered:
                words = [str(holder) for holder in self._holding.holders(record)]
                try:
                    self._fleet.reporter.held(record, words)
                except AbortedError as e:
                    return self._after(self._engine.abort(e.reason))
            return stand
        if stand.last is not None:
            self._holding.maps.end_deployment(stand.last.id)
            self._holding.pauses.end_deployment(stand.last.id)
        self._brake.entered(None)
        self._brake.release()
        if self._log is not None:
            self._log.stop()
            self._log = None
        self._rest()
        return stand

    def _rest(self) -> None:
        """Be idle: its scripts are run when that begins."""
        if not self._idle:
            self._idle = True
            self._holding.maps.forget_expired()
            self._scripts.run("Idle", "Enter", ignore_errors=True)

    @contextmanager
    def _synced(self) -> "Iterator[None]":
        """Run the scripts that want to know that the server is asked; one that fails keeps it from being asked."""
        if self._idle:
            self._idle = False
            self._scripts.run("Idle", "Leave", ignore_errors=True)
        try:
            self._scripts.run("Sync", "Enter")
            yield
            self._scripts.run("Sync", "Leave")
        except ClientError:
            self._scripts.run("Sync", "Error", ignore_errors=True)
            self._rest()
            raise

    def _alone(self) -> AbstractContextManager[None]:
        """Be the only process that changes anything; a command of somebody at the device may be at it."""
        return leading_alone(self._device.settings.device.data_dir)
