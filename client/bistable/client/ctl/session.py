"""What every command needs: the configuration, the device, the store, and the lock that makes it the only one."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bistable.client.config import Loaded, load, only
from bistable.client.ctl import render
from bistable.client.ctl.progress import ProgressLine
from bistable.client.deployment.device import Device
from bistable.client.deployment.locks import is_served, leading_alone
from bistable.client.errors import ConfigError
from bistable.client.machine import decode_record
from bistable.client.model import Mode
from bistable.client.store import Store

if TYPE_CHECKING:
    from bistable.client.deployment.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Led:
    """An update that may be led: nobody else leads it."""

    engine: "Engine"
    store: Store
    device: Device

    def heal(self) -> None:
        """See to it that the running slot is one to come back to, and tell if that had to be mended.

        Raises:
            HealthError, BootError: it is not, and cannot be made so.
        """
        from bistable.client.deployment.first import heal

        if self.engine.current() is None:
            for words in heal(self.device, self.device.health()):
                render.note(words)


def loaded(options: argparse.Namespace, *, quiet: bool = False) -> Loaded:
    """Read the configuration, and unless `quiet` tell what is strange about it.

    Raises:
        ConfigError: it cannot be read.
    """
    if options.config is not None and not options.config.exists():
        raise ConfigError(f"cannot read {options.config}: no such file")
    # One file, named by hand, is all there is: what the system has besides must not surprise anybody.
    result = load(None if options.config is None else only(options.config))
    for warning in () if quiet else result.warnings:
        render.warn(warning)
    _log(options.log_level or result.settings.log.level.value)
    return result


def _log(level: str) -> None:
    names = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    logging.basicConfig(stream=sys.stderr, level=names.get(level, logging.WARNING), format="%(message)s")


def device_of(options: argparse.Namespace) -> Device:
    """Return the device, for commands that only look."""
    return Device(loaded(options).settings, environment=os.environ)


@contextmanager
def looking(device: Device) -> Iterator[Store | None]:
    """Open the store for reading; None if there is none yet."""
    store = Store.open_for_reading(device.settings.device.data_dir)
    if store is None:
        yield None
        return
    with store:
        yield store


def is_served_update(options: argparse.Namespace) -> bool:
    """Return whether the service is there to lead the update in progress: then it is asked, and not gone around."""
    device = Device(loaded(options, quiet=True).settings, environment=os.environ)
    if not is_served(device.settings.device.data_dir):
        return False
    with looking(device) as store:
        text = None if store is None else store.record()
    return text is not None and decode_record(text).mode is Mode.MANAGED


@contextmanager
def leading(options: argparse.Namespace, legacy_dir: Path | None = None) -> Iterator[Led]:
    """Lead the update of this device, as the only one; a new store is filled first.

    Raises:
        BusyError: another process does.
        StoreError: the store cannot be used.
    """
    from bistable.client.deployment.engine import Engine
    from bistable.client.deployment.first import LEGACY, settle

    settings = loaded(options).settings
    progress = ProgressLine(wanted=not options.no_progress and not options.json)
    device = Device(
        settings,
        environment=os.environ,
        on_progress=progress,
        on_wait=lambda why, seconds: render.note(f"{why}; trying again in {seconds:.0f} s"),
    )
    directory = settings.device.data_dir
    try:
        with leading_alone(directory), _opened(directory) as store:
            for words in settle(store, device, legacy_dir or LEGACY):
                render.note(words)
            yield Led(engine=Engine(device.parts(store)), store=store, device=device)
    finally:
        progress.close()


def _opened(directory: Path) -> Store:
    from bistable.client.deployment.first import open_store

    store, told = open_store(directory)
    if told is not None:
        render.warn(told)
    return store
