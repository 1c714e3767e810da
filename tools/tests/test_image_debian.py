"""A Debian with one system, made here by mmdebstrap, gets two slots: it boots, and its client knows where it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from debian_image import debian_disk
from disk_samples import DISK_TOOLS, GRUB_TOOLS, call
from image_samples import needs

from bistable.qemu.kinds import Kind
from bistable.qemu.machine import start
from bistable.tools.bench.console import Console
from bistable.tools.disk import ConvertOptions, Outputs, client_source, convert_disk, inspect_disk, load_layout
from bistable.tools.disk.client import Configuration, Start

pytestmark = [DISK_TOOLS, GRUB_TOOLS, needs("mmdebstrap", "qemu-system-x86_64"), pytest.mark.slow]
LAYOUT = {"slots.size": "640 MiB", "data.size": "64 MiB"}
UP_IN = 900.0
"""Seconds until a systemd with all its units is up, in emulation, on a machine that has other things to do."""


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("debian")
    source = debian_disk(top / "debian.img")
    convert_disk(
        source,
        load_layout("x86-grub", settings=LAYOUT),
        Outputs(disk=top / "ab.img", block_map=False, slot_image=top / "slot.ext4"),
        ConvertOptions(
            client=client_source(), start=Start.BY_HAND, configuration=Configuration(artifact_name="debian-1")
        ),
    )
    source.unlink()
    return top / "ab.img"


def test_the_converted_disk_is_sound(converted: Path) -> None:
    report = inspect_disk(converted)
    assert report.findings == ()
    assert report.boots == "a"
    assert report.slots[0].os_name == "Debian GNU/Linux 12 (bookworm)"
    call("e2fsck", "-fn", converted.with_name("slot.ext4"))


@pytest.mark.boots
def test_debian_boots_from_its_slot_and_the_client_knows_where_it_is(converted: Path, tmp_path: Path) -> None:
    with start(Kind.X86_64_GRUB, converted, folder=tmp_path) as machine:
        console = machine.console
        console.expect("bistable: booting slot a", seconds=UP_IN)
        console.expect("root@debian:~#", seconds=UP_IN)
        assert "bistable.slot=a" in answer(console, "cat /proc/cmdline")
        assert "/data" in answer(console, "findmnt --noheadings --output TARGET,SOURCE /data")
        assert answer(console, "systemctl is-failed local-fs.target") == "active"
        assert answer(console, "systemctl is-enabled bistable-recover") == "enabled"
        status = ctl(console, "status")
        assert (status["artifact"], status["slots"]["running"], status["slots"]["next"]) == ("debian-1", "a", "a")
        assert "x86-grub" in answer(console, "cat /data/bistable/device_type")
        doctor = answer(console, "bistablectl doctor")
        assert "FAULT" not in doctor, doctor
        console.send("poweroff")
        console.expect("reboot: Power down", seconds=UP_IN)
        machine.wait_until_off()
    assert inspect_disk(converted).boots == "a"


def answer(console: Console, command: str) -> str:
    """Return what a command in the machine writes."""
    console.send(f"stty -echo; echo 'begin'-; {command} 2>&1; echo 'end'-")
    console.expect("begin-", seconds=60)
    console.expect("end-", seconds=UP_IN)
    return console.before.replace("\r", "").strip()


def ctl(console: Console, command: str) -> Any:
    return json.loads(answer(console, f"bistablectl {command} --json"))
