"""The systemd system: what distributions boot, as far as our service needs it, and a root shell on the serial line."""

import shutil
from pathlib import Path
from typing import Final

from bistable.qemu.rootfs.client import add_bus_library
from bistable.qemu.rootfs.small import SHELL, add_program

PACKAGES: Final = (
    "base-files base-passwd bash busybox-static coreutils dbus grep kmod libpam-modules libpam-runtime"
    " libubootenv-tool login mount python3 python3-cryptography python3-zstandard sed systemd"
    " systemd-sysv udev util-linux"
)

MACHINE_ID: Final = "0123456789abcdef0123456789abcdef\n"
"""Without one, systemd takes the first boot for one at which somebody answers questions, and waits for ever."""

MASKED: Final = """
apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
getty@tty1.service motd-news.timer systemd-firstboot.service systemd-hwdb-update.service systemd-logind.service
systemd-bless-boot.service systemd-pstore.service
systemd-random-seed.service systemd-timesyncd.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
"""
"""What waits for a person, writes where the root filesystem cannot be written, or takes a trial for good."""

USERS: Final = """\
messagebus:x:100:101::/nonexistent:/usr/sbin/nologin
systemd-network:x:998:998::/:/usr/sbin/nologin
"""
GROUPS: Final = ("messagebus:x:101:", "systemd-journal:x:999:", "systemd-network:x:998:", "kvm:x:997:", "render:x:996:",
                 "input:x:995:", "sgx:x:994:")  # fmt: skip

FSTAB: Final = "tmpfs /tmp tmpfs defaults 0 0\ntmpfs /var/tmp tmpfs defaults 0 0\ntmpfs /var/log tmpfs defaults 0 0\n"

HARDWARE_UNIT: Final = """\
[Unit]
Description=Modules and a static network address
DefaultDependencies=no
Before=sysinit.target systemd-udev-trigger.service
After=systemd-remount-fs.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/bistable-hardware
"""
HARDWARE: Final = """#!/bin/busybox sh
cd /usr/lib/bistable-modules && while read -r module; do busybox insmod "$module.ko"; done <order
# systemd mounts it before anything else, but only if the kernel has it by then.
efi=/sys/firmware/efi/efivars
if [ -d $efi ] && ! busybox mountpoint -q $efi; then busybox mount -t efivarfs efivarfs $efi; fi
busybox ifconfig lo 127.0.0.1 up
busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up && busybox route add default gw 10.0.2.2
exit 0
"""

PATIENT: Final = """\
# The service makes a key of 3072 bits when it first starts, which takes an emulated processor half a minute, alone.
[Service]
TimeoutStartSec=900
"""

SHELL_UNIT: Final = """\
[Unit]
Description=A root shell on the console
After=bistabled.service bistable-recover.service dbus.service

[Service]
Type=idle
ExecStart=/usr/sbin/bistable-shell
StandardInput=tty-force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
Restart=always
RestartSec=1
IgnoreSIGPIPE=no
SendSIGHUP=yes

[Install]
WantedBy=multi-user.target
"""


def add_system(root: Path) -> None:
    """Add to unpacked packages what makes them a system that systemd starts."""
    for name in (
        "boot",
        "data",
        "dev",
        "etc/bistable/conf.d",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "var/log",
        "var/tmp",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    masters = root / "usr" / "share" / "base-passwd"
    (root / "etc/passwd").write_text((masters / "passwd.master").read_text("ascii") + USERS, "ascii")
    known = (masters / "group.master").read_text("ascii")
    missing = [line for line in GROUPS if f"\n{line.split(':')[0]}:" not in known]
    (root / "etc/group").write_text(known + "".join(f"{line}\n" for line in missing), "ascii")
    for path, text in {
        "etc/machine-id": MACHINE_ID,
        "etc/hostname": "bistable\n",
        "etc/fstab": FSTAB,
        "etc/shadow": "",
        "etc/systemd/system/bistable-hardware.service": HARDWARE_UNIT,
        "etc/systemd/system/bistable-shell.service": SHELL_UNIT,
        "etc/systemd/system/bistabled.service.d/patient.conf": PATIENT,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).unlink(missing_ok=True)
        (root / path).write_text(text, "ascii")
    add_bus_library(root)
    add_program(root / "usr/sbin/bistable-shell", SHELL)
    add_program(root / "usr/sbin/bistable-hardware", HARDWARE)
    units = "etc/systemd/system"
    _link(root / units / "multi-user.target.wants/bistable-shell.service", "../bistable-shell.service")
    _link(root / units / "sysinit.target.wants/bistable-hardware.service", "../bistable-hardware.service")
    _link(root / units / "default.target", "/lib/systemd/system/multi-user.target")
    for name in MASKED.split():
        _link(root / units / name, "/dev/null")
    # It would put a login prompt on the serial line.
    _link(root / "etc/systemd/system-generators/systemd-getty-generator", "/dev/null")
    _link(root / "usr/bin/sh", "bash")
    # A maintainer script would have made it; D-Bus is found by the old name.
    shutil.rmtree(root / "var/run", ignore_errors=True)
    _link(root / "var/run", "/run")
    if not (root / "usr/sbin/init").is_symlink():
        _link(root / "usr/sbin/init", "/lib/systemd/systemd")


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
