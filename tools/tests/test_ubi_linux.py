"""The client on raw NAND, with a real kernel: it installs into volumes of UBI, and has its environment in two more."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from ubi_linux import GEOMETRY, Nand, artifact, nand, release

from bistable.tools.bench.device import bistablectl
from bistable.tools.bench.patience import INSTALL
from bistable.tools.bench.serving import Server

pytestmark = [pytest.mark.boots, pytest.mark.slow]

INTERRUPT = """\
import os, sys
from bistable.client.install.medium import open_medium
from pathlib import Path
medium = open_medium(Path(sys.argv[1]))
medium.begin(int(sys.argv[2]))
medium.write(memoryview(bytes(2048)), 0)
os._exit(0)
"""
"""Begins an update of a volume and ends there, as in a power cut."""

WRITE_AGAIN = """\
import sys
from bistable.client.install.medium import open_medium
from pathlib import Path
content, medium = Path(sys.argv[1]).open("rb").read(int(sys.argv[3])), open_medium(Path(sys.argv[2]))
medium.begin(len(content))
medium.write(memoryview(content), 0)
medium.close()
"""


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Nand]:
    with nand(tmp_path) as found:
        yield found


def running(it: Nand) -> str:
    return it.device.run("cat /etc/bistable-release").output


def variables(it: Nand) -> dict[str, str]:
    lines = it.device.run("fw_printenv").output.splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith("bistable_"))


def content(it: Nand, name: str, size: int) -> str:
    """The digest of the first bytes of a volume, as the kernel reads them."""
    node = GEOMETRY.volume(name).node
    return it.device.run(f"head -c {size} {node} | sha256sum", seconds=300).output.split()[0]


def test_an_update_is_installed_tried_and_committed_on_raw_nand(device: Nand, tmp_path: Path) -> None:
    new = release("release-2")
    with Server() as server:
        url = server.add(artifact(tmp_path, "release-2", new))
        assert device.boot("a") == "a"
        assert running(device) == "release-1"
        status = bistablectl(device.device, "status")
        assert status["slots"]["running"] == "a"
        # What is left has become data when the volumes were first seen.
        assert int(device.device.run("cat /sys/class/ubi/ubi0_5/data_bytes").output) > 20 << 20
        bistablectl(device.device, "install", url, seconds=INSTALL)
    image = new.read_bytes()
    assert content(device, "rootfs-b", len(image)) == hashlib.sha256(image).hexdigest()
    assert variables(device) | {"bistable_b_tries": "3"} == variables(device)
    assert variables(device)["bistable_order"] == "b a"
    device.off()

    # What U-Boot reads in the chip is what the client has written through Linux.
    chip = device.image()
    assert chip.environment() | {"bistable_order": "b a", "bistable_b_good": "0", "bistable_b_tries": "3"} == (
        chip.environment()
    )
    assert chip.volume("rootfs-b")[: len(image)] == image
    assert not any(chip.is_unfinished(volume.name) for volume in GEOMETRY.volumes)

    assert device.boot("b") == "b"
    assert running(device) == "release-2"
    bistablectl(device.device, "commit")
    assert variables(device)["bistable_b_good"] == "1"
    device.off()
    assert device.image().environment()["bistable_b_good"] == "1"


def test_a_volume_whose_writing_was_interrupted_is_written_again(device: Nand, tmp_path: Path) -> None:
    new = release("release-2")
    with Server() as server:
        url = server.add(artifact(tmp_path, "release-2", new))
        device.boot("a")
        device.device.run(f"printf '%s' '{INTERRUPT}' >/run/interrupt.py")
        node = GEOMETRY.volume("rootfs-b").node
        device.device.run(f"python3 /run/interrupt.py {node} 1000000")
        assert device.device.run("cat /sys/class/ubi/ubi0_4/upd_marker").output == "1"
        assert device.device.run(f"head -c 10 {node}", allowed=(0, 1)).status == 1
        bistablectl(device.device, "status")
        bistablectl(device.device, "install", url, seconds=INSTALL)
    image = new.read_bytes()
    assert content(device, "rootfs-b", len(image)) == hashlib.sha256(image).hexdigest()


def test_the_tools_of_linux_read_no_copy_of_the_environment_when_one_is_broken(device: Nand) -> None:
    """This is why the boot script writes a broken copy anew: libubootenv gives up where one cannot be read."""
    device.boot("a")
    device.device.run(f"printf '%s' '{INTERRUPT}' >/run/interrupt.py")
    assert variables(device)["bistable_order"] == "a"
    node = GEOMETRY.volume("uboot-env-r").node
    device.device.run(f"python3 /run/interrupt.py {node} 65536")
    assert device.device.run("fw_printenv bistable_order", allowed=tuple(range(256))).status != 0
    assert bistablectl(device.device, "status")["slots"] is None
    # What is written into it ends that, be it by U-Boot or by hand.
    device.device.run(f"printf '%s' '{WRITE_AGAIN}' >/run/write_again.py")
    device.device.run(f"python3 /run/write_again.py {GEOMETRY.volume('uboot-env').node} {node} 65536")
    assert variables(device)["bistable_order"] == "a"
