"""What a machine runs on: the host's processor, if a kernel really boots on it, or emulation.

That /dev/kvm can be opened, and even that a virtual machine can be made, proves nothing: there are hosts on which no
distribution's kernel gets past its first instructions. So one is booted, once per boot of this computer.
"""

import platform
import stat
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.qemu import cache
from bistable.qemu.kinds import HARDWARE, Kind
from bistable.qemu.rootfs import build, cpio
from bistable.tools.bench.run import Running

TCG: Final = "tcg"
KVM: Final = "kvm"
PROBE_SECONDS: Final = 10.0
"""With a processor that can do it, the kernel is there in one."""

_MARK: Final = "bistable-probe: user space"
_INIT: Final = f"#!/bin/busybox sh\nwhile :; do echo '{_MARK}'; /bin/busybox poweroff -f; done\n"
_HOST: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_DEVICE: Final = Path("/dev/kvm")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def choose(kind: Kind) -> str:
    """Return the accelerator for a kind of machine: `kvm` or `tcg`."""
    hardware = HARDWARE[kind]
    if KVM not in hardware.processors or _HOST.get(platform.machine()) != hardware.architecture:
        return TCG
    if not _DEVICE.exists():
        return TCG

    def probe(result: Path) -> None:
        result.write_text(KVM if _boots(kind, result.parent) else TCG, "ascii")

    key = cache.digest(_BOOT_ID, hardware.architecture, Path(__file__))
    return cache.made("accelerator", key, probe).read_text("ascii")


def _boots(kind: Kind, folder: Path) -> bool:
    """Return whether a kernel gets to user space on the host's processor."""
    hardware = HARDWARE[kind]
    try:
        system = build.base_system(hardware.architecture)
    except MachineError:
        return False
    files = {
        PurePosixPath("init"): (stat.S_IFREG | 0o755, _INIT.encode()),
        PurePosixPath("bin/busybox"): (stat.S_IFREG | 0o755, (system / "usr/bin/busybox").read_bytes()),
        PurePosixPath("dev"): (stat.S_IFDIR | 0o755, b""),
    }
    (folder / "initrd").write_bytes(cpio.pack(files))
    command: list[str | Path] = [
        hardware.program, *hardware.arguments, "-accel", KVM, "-cpu", hardware.processors[KVM], "-m", "256",
        "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{folder / 'console'}",
        "-kernel", system / "boot" / "vmlinuz", "-initrd", folder / "initrd",
        "-append", f"console={hardware.console} panic=-1",
    ]  # fmt: skip
    with Running(command, output=folder / "output") as machine:
        machine.wait(PROBE_SECONDS)
    console = folder / "console"
    found = console.exists() and _MARK.encode() in console.read_bytes()
    for path in (console, folder / "output", folder / "initrd"):
        path.unlink(missing_ok=True)
    return found
