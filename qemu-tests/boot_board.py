"""A device for a test that labgrid leads; see labgrid-examples/README.md."""

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
from bistable.tools.bench.device import LineDevice
from bistable.tools.bench.labgrid import LabgridHands
from bistable.tools.bench.serving import HOST, Server
from boot_bench import Bench

PREPARE_SECONDS = 1800
DISK = "BISTABLE_DISK"
"""How the command that prepares the board learns which disk image has to be on it."""


@contextmanager
def board_bench(environment: Path, kind: Kind, folder: Path, profile: Profile, arguments: str) -> Iterator[Bench]:
    """Give the board of a labgrid environment with a new disk, switched off."""
    pytest.importorskip("labgrid.environment", reason="labgrid is not installed: pip install --group labgrid")
    hands = LabgridHands(environment, folder / "console.log")
    try:
        like = hands.option("bistable_kind")
        if like != kind:
            pytest.skip(f"the board is like {like}, not {kind}")
        own: Rig = rig(kind, profile, arguments=arguments)
        subprocess.run(
            shlex.split(hands.option("bistable_prepare")),
            env={**os.environ, DISK: str(own.disk)},
            cwd=environment.parent,
            check=True,
            timeout=PREPARE_SECONDS,
        )
        host, listen = hands.option("bistable_host", HOST), hands.option("bistable_listen", "127.0.0.1")
        with Server(host=host, listen=listen) as server:
            yield Bench(device=LineDevice(hands), rig=own, server=server, disk=None)
    finally:
        hands.close()
