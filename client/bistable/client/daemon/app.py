"""The process `bistabled`: parses its command line, wires the service, and runs until it is told to end."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bistable.artifact.errors import BistableError
from bistable.client.config import Loaded, load, only
from bistable.client.daemon.brake import Brake
from bistable.client.daemon.fleet import make_fleet
from bistable.client.daemon.inhibitors import Inhibitors
from bistable.client.daemon.leader import Holding, Leader
from bistable.client.daemon.notify import Notifier
from bistable.client.daemon.schedule import Intervals, Schedule
from bistable.client.daemon.service import DaemonService, Made
from bistable.client.deployment.device import Device
from bistable.client.deployment.gates import ManagedGates
from bistable.client.deployment.keptmaps import KeptMaps, MapSettings
from bistable.client.deployment.pauses import KeptPauses
from bistable.client.server import Standing
from bistable.client.store import Store

log = logging.getLogger(__name__)

BUS_PATIENCE: Final = 30.0
"""Seconds until a bus that went away, or was not there, is tried again."""

CLOSING: Final = 5.0
"""Seconds that what is at work has to notice that the service ends."""


def run(words: Sequence[str]) -> int:
    """Run the service and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="bistabled", description="Update this device as its server and its people say."
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="use this configuration alone")
    parser.add_argument(
        "--bus", metavar="ADDRESS", help="the D-Bus to be on; the system bus by default, 'none' for none"
    )
    options = parser.parse_args(words)
    try:
        loaded = load(None if options.config is None else only(options.config))
    except BistableError as e:
        sys.stderr.write(f"error: {e.what}\n")
        return 1
    level = getattr(logging, loaded.settings.log.level.value.upper(), logging.INFO)
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(message)s")
    for warning in loaded.warnings:
        log.warning("%s", warning)
    try:
        return asyncio.run(_main(loaded, options.bus))
    except BistableError as e:
        log.error("%s", e.what)  # noqa: TRY400 - a configuration that is wrong is no fault of the program
        return 1


async def _main(loaded: Loaded, bus_address: str | None) -> int:
    settings = loaded.settings
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    brake = Brake()
    service = DaemonService(loop, boottime)
    device = Device(settings, environment=os.environ, check=brake.check, on_progress=service.progress)
    with Store.open(settings.device.data_dir) as store, Store.open(settings.device.data_dir) as values:
        made = _make(service, loaded, device, store, values, brake)
        notifier = Notifier(os.environ, os.getpid())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGUSR1, lambda: service.nudge(service.check))
        loop.add_signal_handler(signal.SIGUSR2, lambda: service.nudge(service.send_inventory))
        service.start(made)
        bus = loop.create_task(_stay_on_bus(service, bus_address))
        alive = loop.create_task(_show_life(notifier))
        notifier.tell("READY=1")
        await ended.wait()
        notifier.tell("STOPPING=1")
        bus.cancel()
        alive.cancel()
        if not await service.close(CLOSING):
            # A module or a script is at work in the worker thread. It is ended with us, and what it was at is found in
            # the store by the next start.
            os._exit(0)
    return 0


def _make(service: DaemonService, loaded: Loaded, device: Device, store: Store, values: Store, brake: Brake) -> Made:
    """Wire the parts. `values` is a connection of its own: what may hold an update is kept by other threads, too."""
    settings = device.settings.server
    system = device.system
    maps = KeptMaps(
        values,
        MapSettings(life=settings.map_expiration or 2 * settings.poll_interval, boot_life=settings.map_boot_expiration),
        boot_id=system.boot_id(),
        clock=system.boottime,
        on_change=service.changed,
    )
    pauses = KeptPauses(values)
    inhibitors = Inhibitors(boottime, service.changed)
    fleet = make_fleet(device, values, service.logged_in)
    asker = _Asker()
    gates = ManagedGates(maps, pauses, inhibitors, ask_server=asker)
    holding = Holding(gates=gates, maps=maps, pauses=pauses)
    leader = Leader(device, store, fleet, holding, brake, on_record=service.entered, on_substate=service.substate)
    asker.leader = leader
    return Made(
        loaded=loaded,
        device=device,
        store=values,
        leader=leader,
        holding=holding,
        inhibitors=inhibitors,
        brake=brake,
        schedule=None if fleet is None else _schedule(device),
        standing=lambda: Standing() if fleet is None else fleet.authenticator.standing,
    )


class _Asker:
    """Asks the server, once there is somebody who can: gates and leader need each other."""

    leader: Leader | None = None

    def __call__(self, deployment: str) -> None:
        assert self.leader is not None
        self.leader.ask_server(deployment)


def _schedule(device: Device) -> Schedule:
    server = device.settings.server
    now = boottime()
    intervals = Intervals(poll=server.poll_interval, inventory=server.inventory_interval, retry=server.retry_interval)
    return Schedule(intervals=intervals, poll_at=now, inventory_at=now)


async def _stay_on_bus(service: DaemonService, address: str | None) -> None:
    """Be on the bus, again and again: it may come late, and go away."""
    if address == "none":
        return
    try:
        from bistable.client.bus.server import BusServer
    except ImportError as e:
        log.warning("not on D-Bus: %s is not installed", e.name)
        return
    server = BusServer()
    try:
        while True:
            try:
                for words in await server.start(service, address):
                    log.info("%s", words)
                await server.wait_disconnected()
            except (BistableError, OSError) as e:
                log.warning("not on D-Bus: %s", e)
            await asyncio.sleep(BUS_PATIENCE)
    finally:
        await server.stop()


async def _show_life(notifier: Notifier) -> None:
    """Show systemd, if it wants to know, that the event loop still turns."""
    while notifier.interval is not None:
        notifier.tell("WATCHDOG=1")
        await asyncio.sleep(notifier.interval)


def boottime() -> float:
    """Return seconds since the boot: a clock that nobody sets, and that goes on while the device sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
