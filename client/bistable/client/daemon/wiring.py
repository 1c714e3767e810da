"""Puts the parts of the service together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bistable.client.config import Loaded
from bistable.client.daemon.asker import Asker
from bistable.client.daemon.brake import Brake
from bistable.client.daemon.fleet import Fleet, make_fleet
from bistable.client.daemon.inhibitors import Inhibitors
from bistable.client.daemon.leader import Holding, Leader
from bistable.client.daemon.schedule import Intervals, Schedule
from bistable.client.daemon.service import DaemonService, Made
from bistable.client.deployment.device import Device
from bistable.client.deployment.gates import ManagedGates
from bistable.client.deployment.keptmaps import KeptMaps, MapSettings
from bistable.client.deployment.pauses import KeptPauses
from bistable.client.machine import Record
from bistable.client.maps import OfflinePolicy, WhenOffline
from bistable.client.server import Standing
from bistable.client.store import Store


class Listener(Protocol):
    """Who is told what happens, in whatever thread it does."""

    def changed(self) -> None:
        """Somebody holds an update, or does not any more."""

    def entered(self, record: Record) -> None:
        """The update is in another state."""

    def substate(self, words: str) -> None:
        """Something is done in it."""

    def logged_in(self, standing: Standing) -> None:
        """There is another token."""


class Ears:
    """Listens to nothing: whoever runs once looks at nothing in between."""

    def changed(self) -> None:
        """Pass over it."""

    def entered(self, record: Record) -> None:
        """Pass over it."""

    def substate(self, words: str) -> None:
        """Pass over it."""

    def logged_in(self, standing: Standing) -> None:
        """Pass over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """What is made for either way to run."""

    leader: Leader
    asker: Asker
    holding: Holding
    inhibitors: Inhibitors
    fleet: Fleet | None


def wire(
    device: Device,
    store: Store,
    values: Store,
    brake: Brake,
    listener: Listener,
    clock: Callable[[], float],
    *,
    lasting: bool,
) -> Wired:
    """Put the parts together. `values` is a connection of its own: other threads keep things, too.

    A process that is `lasting` leaves to others what it needs seldom and would keep in its memory.
    """
    settings = device.settings.server
    maps = KeptMaps(
        values,
        MapSettings(
            life=settings.map_expiration or 2 * settings.poll_interval,
            boot_life=settings.map_boot_expiration,
            ask_every=settings.poll_interval,
            offline=OfflinePolicy(
                when_offline=WhenOffline(settings.when_offline.value), limit=float(settings.offline_limit)
            ),
        ),
        boot_id=device.system.boot_id(),
        clock=device.system.boottime,
        on_change=listener.changed,
    )
    pauses = KeptPauses(values)
    inhibitors = Inhibitors(clock, listener.changed)
    fleet = make_fleet(device, values, listener.logged_in, lasting=lasting)
    asker = Asker(fleet, maps)
    gates = ManagedGates(maps, pauses, inhibitors, ask_server=asker.ask)
    holding = Holding(gates=gates, maps=maps, pauses=pauses)
    leader = Leader(
        device, store, fleet, asker, holding, brake, on_record=listener.entered, on_substate=listener.substate
    )
    return Wired(leader=leader, asker=asker, holding=holding, inhibitors=inhibitors, fleet=fleet)


def make(
    service: DaemonService,
    loaded: Loaded,
    device: Device,
    store: Store,
    values: Store,
    brake: Brake,
    *,
    clock: Callable[[], float],
    lasting: bool = True,
) -> Made:
    """Put together what the service is made of. `clock` is CLOCK_BOOTTIME."""
    wired = wire(device, store, values, brake, service, clock, lasting=lasting)
    fleet = wired.fleet
    return Made(
        loaded=loaded,
        device=device,
        store=values,
        leader=wired.leader,
        asker=wired.asker,
        holding=wired.holding,
        inhibitors=wired.inhibitors,
        brake=brake,
        schedule=None if fleet is None else _schedule(device, clock()),
        standing=lambda: Standing() if fleet is None else fleet.authenticator.standing,
    )


def _schedule(device: Device, now: float) -> Schedule:
    server = device.settings.server
    intervals = Intervals(poll=server.poll_interval, inventory=server.inventory_interval, retry=server.retry_interval)
    return Schedule(intervals=intervals, poll_at=now, inventory_at=now)
