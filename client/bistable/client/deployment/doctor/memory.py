"""The data partition, and the store on it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bistable.client.deployment.device import Device
from bistable.client.deployment.doctor.finding import Finding, bad, doubt, good, note
from bistable.client.errors import StoreError
from bistable.client.slots import mounted_at
from bistable.client.store import FILE_NAME, Store

AFTERWARDS: Final = (
    "the next command that changes something puts the file aside and begins a new one; what the device provides is\n"
    "then known only as far as its files say, and an update on trial is given up by the boot loader"
)
LEAST_FREE: Final = 16 * 1024 * 1024


def examine(device: Device) -> Iterator[Finding]:
    """Look at the data directory and the store."""
    directory = device.settings.device.data_dir
    parent = next(path for path in (directory, *directory.parents) if path.exists())
    yield _place(device, parent, directory)
    space = os.statvfs(parent)
    free = space.f_bavail * space.f_frsize
    if space.f_flag & os.ST_RDONLY:
        yield bad(
            "data", f"{parent} is on a file system that is mounted read-only", "mount the data partition writable"
        )
    elif not os.access(parent, os.W_OK):
        yield bad("data", f"{parent} cannot be written", "are you root?")
    elif free < LEAST_FREE:
        yield bad("data", f"{parent} has {free // 1024} KiB left", "make room on the data partition")
    else:
        yield good("data", f"{directory} has {free // (1024 * 1024)} MiB left")
    yield from _store(directory)


def _place(device: Device, parent: Path, directory: Path) -> Finding:
    """A store inside a slot would be overwritten by the next update, or be another one after a reboot."""
    pair = device.pair
    here = parent.stat().st_dev
    if pair is not None:
        for slot in (pair.a, pair.b):
            point = mounted_at(slot.device)
            if point is not None and point.stat().st_dev == here:
                return bad(
                    "data",
                    f"{directory} is inside slot {slot.name}: an update would lose it",
                    "mount a data partition there, or set device.data-dir to where one is mounted",
                )
    return good("data", f"{directory} is outside of the slots")


def _store(directory: Path) -> Iterator[Finding]:
    try:
        store = Store.open_for_reading(directory)
    except StoreError as e:
        yield bad("data", e.what, AFTERWARDS)
        return
    if store is None:
        yield note("data", "there is no store yet: nothing was installed so far")
        return
    with store:
        store.check()
        name = store.provides().get("artifact_name")
        yield good("data", f"the store is sound; the device provides {name or 'nothing'}")
        if store.record() is not None:
            yield note("data", "an update is in progress", "see `bistablectl status`")
    aside = sorted(directory.glob(f"{FILE_NAME}.corrupt-*"))
    if aside:
        yield doubt(
            "data", f"{aside[-1]} is a store that was found damaged", "look at the storage's health; then delete it"
        )
