"""The first files of the kernel: modules for the disk, and a script that finds and mounts the root filesystem."""

import stat
from pathlib import PurePosixPath
from typing import Final

from bistable.qemu.rootfs import cpio
from bistable.qemu.rootfs.kernel import DISK_MODULES, Kernel, loading_order, module_content

LOST: Final = "initramfs: cannot find the root filesystem"
"""What the console says when there is no such partition; the machine is reset a second later."""

LINKS: Final = r"""#!/bin/busybox sh
# Make the links of /dev/disk/by-partuuid and by-partlabel from the partition tables (GPT and MBR) of all disks.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mkdir -p /dev/disk/by-partuuid /dev/disk/by-partlabel
for disk in /sys/block/vd* /sys/block/nvme* /sys/block/sd* /sys/block/mmcblk*; do
    [ -e "$disk" ] || continue
    device=/dev/${disk##*/}
    case $device in *[0-9]) middle=p ;; *) middle= ;; esac
    if [ "$(dd if=$device bs=8 skip=64 count=1 2>/dev/null)" = "EFI PART" ]; then
        dd if=$device bs=512 skip=2 count=32 2>/dev/null | hexdump -v -e '16/1 "%02x" "\n"' | awk '
            function swapped(text,  i, out) {
                for (i = length(text) - 1; i > 0; i -= 2) out = out substr(text, i, 2)
                return out
            }
            { line = (NR - 1) % 8; number = int((NR - 1) / 8) + 1 }
            line == 1 && $0 !~ /^0+$/ {
                print number, swapped(substr($0, 1, 8)) "-" swapped(substr($0, 9, 4)) "-" \
                    swapped(substr($0, 13, 4)) "-" substr($0, 17, 4) "-" substr($0, 21)
            }'
    else
        signature=$(dd if=$device bs=4 skip=110 count=1 2>/dev/null | hexdump -v -e '1/4 "%08x"')
        for number in 1 2 3 4 5 6 7 8; do printf '%s %s-%02x\n' "$number" "$signature" "$number"; done
    fi | while read -r number uuid; do
        [ -e "$device$middle$number" ] && ln -sf "$device$middle$number" "/dev/disk/by-partuuid/$uuid"
    done
    for part in "$disk"/*/uevent; do
        name=$(sed -n 's/^PARTNAME=//p' "$part" 2>/dev/null)
        node=$(sed -n 's/^DEVNAME=//p' "$part" 2>/dev/null)
        [ -n "$name" ] && ln -sf "/dev/$node" "/dev/disk/by-partlabel/$name"
    done
done
exit 0
"""

_INIT: Final = """#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in {modules}; do insmod "/lib/$module.ko"; done
root='' init=/sbin/init mode=ro
for word in $(cat /proc/cmdline); do
    case $word in
        root=*) root=${{word#root=}} ;;
        init=*) init=${{word#init=}} ;;
        rw) mode=rw ;;
    esac
done
tries=0
device=
while [ "$tries" -lt 50 ]; do
    links
    case $root in
        PARTUUID=*) device=/dev/disk/by-partuuid/$(echo "${{root#PARTUUID=}}" | tr A-Z a-z) ;;
        PARTLABEL=*) device=/dev/disk/by-partlabel/${{root#PARTLABEL=}} ;;
        *) device=$root ;;
    esac
    [ -b "$device" ] && break
    tries=$((tries + 1))
    sleep 0.1
done
# What lies in a slot may be of any of these kinds; the wrong one is refused at once.
for kind in ext4 squashfs; do
    if mount -o "$mode" -t "$kind" "$device" /new 2>/dev/null; then
        mount --move /dev /new/dev
        umount /sys
        umount /proc
        exec switch_root /new "$init"
    fi
done
echo "{lost} $root"
sleep 1
reboot -f
"""

APPLETS: Final = """
awk cat dd echo hexdump insmod ln mkdir mount printf reboot sed sh sleep switch_root tr umount uname
"""


def make_initramfs(kernel: Kernel, busybox: bytes) -> bytes:
    """Return an initramfs for the kernel, with a busybox of its architecture that needs no libraries."""
    order = loading_order(kernel, DISK_MODULES)
    init = _INIT.format(modules=" ".join(order), lost=LOST)
    files: dict[PurePosixPath, tuple[int, bytes]] = {
        PurePosixPath("init"): (stat.S_IFREG | 0o755, init.encode()),
        PurePosixPath("bin/busybox"): (stat.S_IFREG | 0o755, busybox),
        PurePosixPath("bin/links"): (stat.S_IFREG | 0o755, LINKS.encode()),
        **{PurePosixPath("bin", name): (stat.S_IFLNK | 0o777, b"busybox") for name in APPLETS.split()},
        **{PurePosixPath(name): (stat.S_IFDIR | 0o755, b"") for name in ("proc", "sys", "dev", "new")},
        **{PurePosixPath("lib", f"{name}.ko"): (stat.S_IFREG | 0o644, module_content(kernel, name)) for name in order},
    }
    return cpio.pack(files)
