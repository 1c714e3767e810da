"""A device for a test: a machine with a new disk, a server for its artifacts, and what is wanted to be known of both."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bistable.artifact.errors import MachineError
from bistable.artifact.model import Script
from bistable.qemu import patience
from bistable.qemu.device import QemuDevice, bistablectl
from bistable.qemu.errors import SHOWN_LINES
from bistable.qemu.kinds import HARDWARE, Kind, check_firmware
from bistable.qemu.machine import start
from bistable.qemu.rig import RELEASE_FILE, Change, Put, Remove, Rig, rig
from bistable.qemu.rootfs.build import Profile
from bistable.qemu.run import require
from bistable.qemu.serving import Server

NO_KERNEL = Put(path="/boot/vmlinuz", content=b"not a kernel\n")
NO_INIT = Remove(path="/sbin/init")
PANICS = Put(path="/etc/bistable-start", content=b"#!/bin/sh\necho c >/proc/sysrq-trigger\n", mode=0o755)
HANGS = Put(path="/etc/bistable-start", content=b"#!/bin/sh\necho hanging\nwhile :; do sleep 1000; done\n", mode=0o755)
PANIC = "Kernel panic - not syncing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A device under test with its surroundings."""

    device: QemuDevice
    rig: Rig
    server: Server

    def offer(self, name: str, *changes: Change, scripts: Sequence[Script] = ()) -> str:
        """Serve an artifact of that name and return its address."""
        return self.serve(self.rig.artifact(name, *changes, scripts=scripts), f"{name}.mender")

    def serve(self, path: Path, name: str) -> str:
        """Serve a file and return its address."""
        return self.server.add(path, name)

    def ctl(self, *words: str, allowed: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Run `bistablectl WORDS --json` on the device."""
        return dict(bistablectl(self.device, *words, seconds=patience.INSTALL, allowed=allowed))

    def install(self, url: str) -> None:
        """Install an artifact; the device is not rebooted."""
        self.ctl("install", url)

    def release(self) -> str:
        """Return which release runs."""
        return self.device.run(f"cat {RELEASE_FILE}").output

    def slots(self) -> dict[str, Any]:
        """Return what the client says of the slots."""
        return dict(self.ctl("status")["slots"])

    def loader_said(self) -> list[str]:
        """Return what the boot script has said since the last call of `boot` or `reboot`, without its summaries."""
        return [line for line in self.device.says("bistable: ") if not line.startswith("bistable: copies=")]


@contextmanager
def bench(kind: Kind, folder: Path, profile: Profile = Profile.SMALL, *, arguments: str = "") -> Iterator[Bench]:
    """Give a device that is off, with a new disk. What goes wrong inside comes with the end of its console."""
    try:
        require(HARDWARE[kind].program)
        check_firmware(kind)
    except MachineError as e:
        pytest.skip(f"{e.what} ({e.hint})")
    found = rig(kind, profile, arguments=arguments)
    disk = found.new_disk(folder)
    with Server() as server, start(kind, disk, folder=folder) as machine:
        try:
            yield Bench(device=QemuDevice(machine), rig=found, server=server)
        except AssertionError as e:
            lines = machine.console.text().splitlines()[-SHOWN_LINES:]
            e.add_note("\n".join([f"the console ({machine.console.log}) ends with:", *lines]))
            raise
