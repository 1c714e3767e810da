"""A device for a test that labgrid leads; see labgrid/README.md."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bistable.qemu.kinds import Kind
from bistable.qemu.rig import Rig, rig
from bistable.qemu.rootfs.build import Profile
from bistable.tools.bench.labgrid import Board
from bistable.tools.bench.serving import HOST, Server
from boot_bench import Bench

PREPARE_SECONDS = 1800
DISK = "BISTABLE_DISK"
"""How the command that prepares the board learns which disk image has to be on it."""


@contextmanager
def board_bench(environment: Path, kind: Kind, folder: Path, profile: Profile, arguments: str) -> Iterator[Bench]:
    """Give the board of a labgrid environment with a new disk, switched off."""
    labgrid = pytest.importorskip("labgrid", reason="labgrid is not installed: pip install --group labgrid")
    found = labgrid.Environment(str(environment))

    def option(name: str, default: str | None = None) -> str:
        return str(found.config.get_target_option("main", f"bistable_{name}", default))

    if option("kind") != kind:
        pytest.skip(f"the board is like {option('kind')}, not {kind}")
    own: Rig = rig(kind, profile, arguments=arguments)
    subprocess.run(
        shlex.split(option("prepare")),
        env={**os.environ, DISK: str(own.disk)},
        cwd=environment.parent,
        check=True,
        timeout=PREPARE_SECONDS,
    )
    target = found.get_target("main")
    power, line = target.get_driver("PowerProtocol"), target.get_driver("ConsoleProtocol")
    try:
        host, listen = option("host", HOST), option("listen", "127.0.0.1")
        with Server(host=host, listen=listen) as server:
            yield Bench(device=Board(line, power, folder=folder), rig=own, server=server, disk=None)
    finally:
        power.off()
        found.cleanup()
