"""RAUC and SWUpdate, for context: they read other formats, so only the work is the same."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from contest import Contest, Entry
from devices import Bench, shell

MIB = 256

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>
"""


def other_contests(bench: Bench) -> list[Contest]:
    """Each beside ours, without a target."""
    ours = bench.ours.install("bistablectl install, none, 256 MiB", bench.artifact(MIB, "none"), MIB)
    return [
        Contest(rival=ours, ours=[make(bench)])
        if not (lacking := [program for program in programs if shutil.which(program) is None])
        else Contest(rival=Entry(name=name, command=[]), needs=f"not installed: {', '.join(lacking)}")
        for name, programs, make in OTHERS
    ]


def _swupdate(bench: Bench) -> Entry:
    folder = bench.work / "swu"
    folder.mkdir()
    (folder / "image").hardlink_to(bench.image(MIB))
    key, certificate = _signer(folder)
    target = bench.loops[1]
    digest = subprocess.run(["sha256sum", folder / "image"], check=True, capture_output=True, text=True).stdout[:64]
    (folder / "sw-description").write_text(
        'software = { version = "1"; hardware-compatibility = ["1.0"]; images = ({ filename = "image"; type = "raw"; '
        f'device = "{target}"; installed-directly = true; sha256 = "{digest}"; }}); }};\n'
    )
    # Debian's takes signed images only.
    sign = "openssl cms -sign -in sw-description -out sw-description.sig -outform DER -nosmimecap -binary"
    pack = "printf '%s\\n' sw-description sw-description.sig image | cpio -o -H crc --quiet > image.swu"
    subprocess.run(shell(f"{sign} -signer {certificate} -inkey {key}; {pack}"), cwd=folder, check=True)
    return Entry(
        name="swupdate, not compressed, signed, 256 MiB",
        command=["swupdate", "-H", "bench:1.0", "-k", certificate, "-i", folder / "image.swu"],
        before=lambda: bench.soil(target, MIB),
        holds=lambda: bench.holds(target, MIB),
    )


def _signer(folder: Path) -> tuple[Path, Path]:
    """Make a key and a certificate for it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = f"openssl req -x509 -newkey rsa:3072 -nodes -keyout {key} -out {certificate} -subj /CN=bench -days 100"
    subprocess.run(shell(f"{make} -addext extendedKeyUsage=emailProtection"), check=True, capture_output=True)
    return key, certificate


def _rauc(bench: Bench) -> Entry:
    folder = bench.work / "rauc"
    (folder / "content").mkdir(parents=True, exist_ok=True)
    (folder / "content/rootfs.img").hardlink_to(bench.image(MIB))
    (folder / "content/manifest.raucm").write_text(
        "[update]\ncompatible=bench\nversion=2\n[bundle]\nformat=plain\n[image.rootfs]\nfilename=rootfs.img\n"
    )
    key, certificate = _signer(folder)
    bundle = folder / "bundle.raucb"
    subprocess.run(
        ["rauc", "bundle", f"--cert={certificate}", f"--key={key}", folder / "content", bundle],
        check=True,
        capture_output=True,
    )
    a, target = bench.loops
    (folder / "system.conf").write_text(
        "[system]\ncompatible=bench\nbootloader=custom\n"
        f"[handlers]\nbootloader-custom-backend={bench.work}/ours/handler\n"
        f"[keyring]\npath={certificate}\n"
        f"[slot.rootfs.0]\ndevice={a}\ntype=raw\nbootname=a\n[slot.rootfs.1]\ndevice={target}\ntype=raw\nbootname=b\n"
    )
    service = _start_service(bench, folder)
    return Entry(
        name="rauc install (plain bundle, gzip; service and command), 256 MiB",
        command=["env", f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={folder}/bus", "rauc", "install", bundle],
        before=lambda: bench.soil(target, MIB),
        extra=_usage_of(service.pid),
        holds=lambda: bench.holds(target, MIB),
    )


def _start_service(bench: Bench, folder: Path) -> "subprocess.Popen[bytes]":
    """Start RAUC's service, and a bus for it and nobody else; both end with the benchmark."""
    socket = folder / "bus"
    (folder / "bus.conf").write_text(BUS.format(socket=socket))
    bench.started(subprocess.Popen(["dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork"]))
    while not socket.exists():
        time.sleep(0.05)
    command = ["rauc", f"--conf={folder}/system.conf", "--override-boot-slot=a", "service"]
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
    service = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    bench.started(service)
    time.sleep(2)
    return service


def _usage_of(pid: int) -> Callable[[], tuple[float, float]]:
    """Return what tells the CPU seconds of a process with its ended children, and its peak memory in MiB."""

    def usage() -> tuple[float, float]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = sum(int(word) for word in fields[11:15])
        status = Path(f"/proc/{pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return ticks / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) / 1024

    return usage


OTHERS: list[tuple[str, list[str], Callable[[Bench], Entry]]] = [
    ("rauc", ["rauc", "mksquashfs", "dbus-daemon"], _rauc),
    ("swupdate", ["swupdate", "cpio"], _swupdate),
]
