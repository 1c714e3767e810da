"""The small system: busybox with a start script of our own, Python, the client, and a shell on the serial line.

It is there within a second of the kernel. What it starts is no more than a test needs: file systems, a static network
address, the data partition, and that shell.
"""

import os
from pathlib import Path
from typing import Final

from bistable.qemu.rootfs.initramfs import LINKS
from bistable.tools.bench.shell import SHELL_READY

PACKAGES: Final = "busybox-static libubootenv-tool python3 python3-cryptography python3-zstandard"

INIT: Final = """#!/bin/sh
# The first process of the small system.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -c /dev/null ] || mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs tmp /tmp
cd /usr/lib/bistable-modules && while read -r module; do insmod "$module.ko" 2>/dev/null; done <order
cd /
bistable-links
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
[ -d /sys/firmware/efi/efivars ] && mount -t efivarfs efivarfs /sys/firmware/efi/efivars
[ ! -e /etc/fstab ] || while read -r source point kind options _; do
    case $source in
        PARTUUID=*) mount -t "$kind" -o "$options" "/dev/disk/by-partuuid/${source#PARTUUID=}" "$point" ;;
    esac
done </etc/fstab
grep -q ' /data ' /proc/mounts && mkdir -p /data/bistable
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up 2>/dev/null && route add default gw 10.0.2.2
grep -q ' bistable.watchdog' /proc/cmdline && watchdog -t 2 -T 20 /dev/watchdog
[ -x /etc/bistable-start ] && /etc/bistable-start
# busybox's reboot and poweroff send these. There are no services to stop: the disk gets what it has to have.
finish() {
    sync
    for point in /boot/efi /data; do
        umount "$point" 2>/dev/null || mount -o remount,ro "$point" 2>/dev/null
    done
    busybox "$1" -f
}
trap 'finish reboot' TERM
trap 'finish poweroff' USR2
console=/dev/$(sed 's/.* //' /sys/class/tty/console/active)
# If somebody leaves the shell, there is another one. Only while it waits, a shell sees to its signals at once.
while :; do
    setsid -c /usr/sbin/bistable-shell <"$console" >"$console" 2>&1 &
    wait
done
"""

SHELL: Final = f"""#!/bin/sh
# A root shell for whoever is at the serial line. The kernel's messages would get between commands and answers.
export HOME=/root TERM=dumb PS1='root@bistable:\\w# '
cd /root
dmesg -n 1
echo
echo "{SHELL_READY}"
exec sh
"""

FOLDERS: Final = """
boot data dev etc/bistable/conf.d mnt proc root run sys tmp usr/bin usr/sbin usr/local/bin var/lib var/tmp
"""

APPLETS: Final = """
[ ash awk base64 basename blkid blockdev cat chmod chown cmp cp cut date dd df dirname dmesg du echo env expr false find
free grep gunzip gzip head hexdump hostname id ifconfig insmod install kill killall ln losetup ls lsmod md5sum mkdir
mkfifo mknod mktemp modprobe mount mv nc od pgrep pidof ping pivot_root poweroff printf ps pwd
readlink realpath reboot rm rmdir rmmod route sed seq setsid sh sha256sum sleep sort stat stty switch_root sync tail
tar tee test timeout touch tr true tty umount uname uniq uptime usleep vi watchdog wc wget which xargs zcat
"""


def add_system(root: Path) -> None:
    """Add to unpacked packages what makes them the small system."""
    for name in FOLDERS.split():
        (root / name).mkdir(parents=True, exist_ok=True)
    programs = root / "usr" / "bin"
    for name in APPLETS.split():
        if not os.path.lexists(programs / name) and not os.path.lexists(root / "usr" / "sbin" / name):
            (programs / name).symlink_to("busybox")
    (programs / "sh").unlink(missing_ok=True)
    (programs / "sh").symlink_to("busybox")
    for path, text in {
        "sbin/init": INIT,
        "usr/sbin/bistable-shell": SHELL,
        "usr/sbin/bistable-links": LINKS,
    }.items():
        add_program(root / path, text)
    for path, text in {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "etc/group": "root:x:0:\n",
        "etc/hostname": "bistable\n",
        "etc/hosts": "127.0.0.1 localhost bistable\n",
    }.items():
        (root / path).write_text(text, "ascii")


def add_program(path: Path, text: str) -> None:
    """Write a script that can be run, in place of whatever is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)
