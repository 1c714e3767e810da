"""A device for a test: a machine with a new disk, a server for its artifacts, and what tests ask of both."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bistable.artifact.errors import MachineError
from bistable.artifact.model import Script
from bistable.qemu.device import QemuDevice
from bistable.qemu.kinds import HARDWARE, Kind, check_firmware
from bistable.qemu.machine import Machine, start
from bistable.qemu.rig import RELEASE_FILE, Change, Put, Remove, Rig, rig
from bistable.qemu.rootfs.build import Profile
from bistable.tools.bench import patience
from bistable.tools.bench.device import Device, bistablectl
from bistable.tools.bench.errors import SHOWN_LINES
from bistable.tools.bench.run import require
from bistable.tools.bench.serving import Server

BOARD = "BISTABLE_LABGRID"
"""Names an environment file of labgrid: then the device is what that describes."""

START = "/etc/bistable-start"
NO_KERNEL = Put(path="/boot/vmlinuz", content=b"not a kernel\n")
NO_INIT = Remove(path="/sbin/init")
PANICS = Put(path=START, content=b"#!/bin/sh\necho c >/proc/sysrq-trigger\n", mode=0o755)
HANGS = Put(path=START, content=b"#!/bin/sh\necho it hangs\nwhile :; do sleep 1000; done\n", mode=0o755)
STOPS_FEEDING = Put(
    path=START, content=b"#!/bin/sh\nkillall -STOP watchdog\nwhile :; do sleep 1000; done\n", mode=0o755
)
PANIC = "Kernel panic - not syncing"
ANY = tuple(range(10))
"""Exit codes of `bistablectl`, where the test looks at what it did and not at its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A device under test with its surroundings."""

    device: Device
    rig: Rig
    server: Server
    disk: Path | None
    """None: nobody but the board can get at it."""

    @property
    def machine(self) -> Machine:
        """The machine in QEMU, for what cannot be done to a board; the test is skipped if it is a board."""
        if not isinstance(self.device, QemuDevice):
            pytest.skip("this needs a machine in QEMU, and not a board")
        return self.device.machine

    def offer(self, name: str, *changes: Change, scripts: Sequence[Script] = ()) -> str:
        """Serve an artifact of that name and return its address."""
        return self.serve(self.rig.artifact(name, *changes, scripts=scripts), f"{name}.mender")

    def serve(self, path: Path, name: str) -> str:
        """Serve a file and return its address."""
        return self.server.add(path, name)

    def ctl(self, *words: str, allowed: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Run `bistablectl WORDS --json` on the device."""
        return dict(bistablectl(self.device, *words, seconds=patience.INSTALL, allowed=allowed))

    def install(self, url: str, *words: str) -> None:
        """Install an artifact; the device is not rebooted."""
        self.ctl("install", url, *words)

    def update(self, url: str) -> str:
        """Install an artifact, reboot, commit it, and return the slot that runs."""
        self.install(url)
        slot = self.device.reboot()
        self.ctl("commit")
        return slot

    def release(self) -> str:
        """Return which release runs."""
        return self.device.run(f"cat {RELEASE_FILE}").output

    def slots(self) -> dict[str, Any]:
        """Return what the client says of the slots."""
        return dict(self.ctl("status")["slots"])

    def loader_said(self) -> list[str]:
        """Return what the boot scripts have said so far, without their summaries."""
        return [line for line in self.device.says("bistable: ") if not line.startswith("bistable: copies=")]

    def summary(self) -> str:
        """Return what the last boot script found in the environment."""
        return self.device.says("bistable: copies=")[-1]

    def partition(self, name: str) -> bytes:
        """Return what is in a partition of the disk; for a machine that is off."""
        found = self.rig.geometry.partition(name)
        assert self.disk is not None
        with self.disk.open("rb") as file:
            file.seek(found.start)
            return file.read(found.size)

    def overwrite(self, name: str, offset: int, data: bytes) -> None:
        """Change what is in a partition of the disk; for a machine that is off."""
        assert self.disk is not None
        with self.disk.open("r+b") as file:
            file.seek(self.rig.geometry.partition(name).start + offset)
            file.write(data)


@contextmanager
def skipping() -> Iterator[None]:
    """Skip the test if a program that it takes is not installed on this computer."""
    try:
        yield
    except MachineError as e:
        if "not found" in e.what or "there is no" in e.what:
            pytest.skip(f"{e.what} ({e.hint})")
        raise


def need(kind: Kind) -> None:
    """Skip the test if this computer has not what the kind of machine needs."""
    with skipping():
        require(HARDWARE[kind].program)
        check_firmware(kind)


@contextmanager
def bench(kind: Kind, folder: Path, profile: Profile = Profile.SMALL, *, arguments: str = "") -> Iterator[Bench]:
    """Give a device with a new disk, switched on. What goes wrong inside comes with the end of its console."""
    if BOARD in os.environ:
        from boot_board import board_bench

        with board_bench(Path(os.environ[BOARD]), kind, folder, profile, arguments) as it:
            yield it
        return
    need(kind)
    with skipping():
        found = rig(kind, profile, arguments=arguments)
    disk = found.new_disk(folder)
    with Server() as server, start(kind, disk, folder=folder) as machine:
        try:
            yield Bench(device=QemuDevice(machine), rig=found, server=server, disk=disk)
        except AssertionError as e:
            lines = machine.console.text().splitlines()[-SHOWN_LINES:]
            e.add_note("\n".join([f"the console ({machine.console.log}) ends with:", *lines]))
            raise
