"""The process `bistabled`: parses its command line, wires the service, and runs until it is told to end."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bistable.artifact.errors import BistableError
from bistable.client.config import Loaded, load, only
from bistable.client.daemon.brake import Brake
from bistable.client.daemon.notify import Notifier
from bistable.client.daemon.options import HELP, parse
from bistable.client.daemon.service import DaemonService
from bistable.client.daemon.wiring import Ears, make, wire
from bistable.client.deployment.device import Device
from bistable.client.deployment.first import open_store
from bistable.client.deployment.locks import serving_alone
from bistable.client.store import Store

log = logging.getLogger(__name__)

BUS_PATIENCE: Final = 30.0
"""Seconds until a bus that went away, or was not there, is tried again."""

BUS_START: Final = 5.0
"""Seconds that the start waits for an answer of the bus."""

CLOSING: Final = 5.0
"""Seconds that what is at work has to notice that the service ends."""


def run(words: Sequence[str]) -> int:
    """Run the service and return the exit code."""
    try:
        options = parse(words)
        if options.help:
            sys.stdout.write(HELP)
            return 0
        loaded = load(None if options.config is None else only(options.config))
    except BistableError as e:
        sys.stderr.write(f"error: {e.what}\n")
        return e.exit_code
    level = getattr(logging, loaded.settings.log.level.value.upper(), logging.INFO)
    shown = logging.StreamHandler(sys.stderr)
    shown.setLevel(level)
    # However little is shown: the log of a deployment, which a server gets after a failure, has what was done.
    logging.basicConfig(handlers=[shown], level=min(level, logging.INFO), format="%(levelname)s %(message)s")
    for warning in loaded.warnings:
        log.warning("%s", warning)
    try:
        return _once(loaded) if options.once else asyncio.run(_main(loaded, options.bus))
    except BistableError as e:
        log.error("%s", e.what)  # noqa: TRY400 - a configuration that is wrong is no fault of the program
        return 1


def _opened(directory: Path) -> Store:
    store, told = open_store(directory)
    if told is not None:
        log.warning("%s", told)
    return store


def _once(loaded: Loaded) -> int:
    """Do once what the service does again and again: for a timer, where nothing shall stay in memory.

    A paused update is looked at again by the next run. Applications cannot hold anything, for there is no D-Bus.
    """
    brake = Brake()
    device = Device(loaded.settings, environment=os.environ, check=brake.check)
    directory = loaded.settings.device.data_dir
    with _opened(directory) as store, Store.open(directory) as values:
        leader = wire(device, store, values, brake, Ears(), boottime, lasting=False).leader
        stand = leader.begin_service()
        if stand.record is not None:
            leader.look_again()
        elif loaded.settings.server.urls:
            try:
                leader.send_inventory(full=False)
            except BistableError as e:
                # It must not keep the device from its updates.
                log.info("%s", e.what)
            leader.poll()
    return 0


async def _main(loaded: Loaded, bus_address: str | None) -> int:
    settings = loaded.settings
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    brake = Brake()
    service = DaemonService(loop, boottime)
    device = Device(settings, environment=os.environ, check=brake.check, on_progress=service.progress)
    directory = settings.device.data_dir
    with serving_alone(directory), _opened(directory) as store, Store.open(directory) as values:
        made = make(service, loaded, device, store, values, brake, clock=boottime)
        notifier = Notifier(os.environ, os.getpid())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGUSR1, lambda: service.nudge(service.check))
        loop.add_signal_handler(signal.SIGUSR2, lambda: service.nudge(service.send_inventory))
        service.start(made)
        tried = asyncio.Event()
        bus = loop.create_task(_stay_on_bus(service, bus_address, tried))
        alive = loop.create_task(_show_life(notifier))
        # Whoever is started after the service may call it; a bus that is not there (yet) holds up nobody.
        with suppress(TimeoutError):
            await asyncio.wait_for(tried.wait(), BUS_START)
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


async def _stay_on_bus(service: DaemonService, address: str | None, tried: asyncio.Event) -> None:
    """Be on the bus, again and again: it may come late, and go away. `tried` is set after the first time."""
    if address == "none":
        tried.set()
        return
    try:
        from bistable.client.bus.server import BusServer
    except ImportError as e:
        log.warning("not on D-Bus: %s is not installed", e.name)
        tried.set()
        return
    server = BusServer()
    try:
        while True:
            try:
                for words in await server.start(service, address):
                    log.info("%s", words)
                tried.set()
                await server.wait_disconnected()
            except (BistableError, OSError) as e:
                log.warning("not on D-Bus: %s", e)
                tried.set()
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
