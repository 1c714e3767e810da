"""The slots and the boot loader: whether it and the client mean the same."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bistable.client.boot import Canary
from bistable.client.boot.ports import Faulty, Probing
from bistable.client.config import BootBackend
from bistable.client.deployment.device import Device
from bistable.client.deployment.doctor.finding import Finding, bad, doubt, good, note
from bistable.client.slots import SlotPair, mounted_at, size_of

FW_ENV_CONFIG: Final = Path("/etc/fw_env.config")


def examine_slots(device: Device) -> Iterator[Finding]:
    """Look at the two slots."""
    pair = device.pair
    if pair is None:
        yield note(
            "slots",
            "none are set: root file systems cannot be installed, other payloads can",
            "set slots.a and slots.b (or RootfsPartA and RootfsPartB in mender.conf)",
        )
        return
    missing = [slot for slot in (pair.a, pair.b) if not slot.device.exists()]
    for slot in missing:
        yield bad("slots", f"slot {slot.name}: {slot.device} does not exist", "correct slots.a and slots.b")
    if missing:
        return
    yield from _sizes(pair)
    running = device.running()
    yield good("slots", f"slot {running} runs")
    target = pair.other(running)
    point = mounted_at(target.device)
    if point is not None:
        yield doubt(
            "slots",
            f"slot {target.name} ({target.device}) is mounted at {point}: an update would refuse to overwrite it",
            f"umount {point}, and take it out of /etc/fstab",
        )
    if not os.access(target.device, os.W_OK):
        yield bad("slots", f"slot {target.name} ({target.device}) cannot be written", "are you root?")


def _sizes(pair: SlotPair) -> Iterator[Finding]:
    a, b = size_of(pair.a.device), size_of(pair.b.device)
    if a != b:
        yield doubt(
            "slots",
            f"slot {pair.a.name} holds {a} bytes, slot {pair.b.name} {b}: an image may fit into one only",
            "make the partitions equally large",
        )
    else:
        yield good("slots", f"both hold {a // (1024 * 1024)} MiB")


def _copies(path: Path) -> Iterator[Finding]:
    """One copy of the environment means that a power cut in the middle of writing it may cost it."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        # GRUB's and systemd-boot's tools have no such file.
        return
    copies = sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in lines)
    if copies == 1:
        yield doubt(
            "boot loader",
            f"{path} names one copy of the environment: a power cut while it is written may lose it",
            "build U-Boot with CONFIG_SYS_REDUNDAND_ENVIRONMENT, and name both copies",
        )


def examine_bootloader(device: Device) -> Iterator[Finding]:
    """Look whether the boot loader can be read and told, and whether it listens."""
    if device.pair is None:
        return
    boot = device.bootloader
    running = device.running()
    yield good("boot loader", f"{device.backend.value}: it can be read, and boots slot {boot.primary()} next")
    if isinstance(boot, Canary):
        boot.check_canary()
        yield good("boot loader", "it writes to the same place as this client (canary)")
    else:
        yield note("boot loader", "there is no mark that shows that it reads what this client writes")
    status = boot.status(running)
    if not status.good:
        yield doubt(
            "boot loader",
            f"the running slot {running} is not known to be good: it is on trial",
            "`bistablectl status` says whether an update waits for its commit",
        )
    if isinstance(boot, Faulty):
        for fault in boot.faults():
            yield doubt("boot loader", fault, "the next change mends it")
    if device.backend is BootBackend.UBOOT:
        yield from _copies(device.settings.boot.env_config or FW_ENV_CONFIG)
    if isinstance(boot, Probing):
        boot.probe()
        yield good("boot loader", "it can be written: what was written was read back")
    else:
        yield note("boot loader", "whether it can be written shows only when something is installed")
