#!/bin/sh
# Rendered from board.toml by `bistable board render`; changes here are lost.
#
# Arm SystemReady (UEFI), GRUB: starts it with a disk image, which is written to. Its serial console is here; Ctrl-a x ends it.
#
#     qemu.sh DISK [more arguments of QEMU]
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 DISK [more arguments of QEMU]" >&2
    exit 2
fi
disk=$1
shift

if [ ! -e /usr/share/AAVMF/AAVMF_CODE.fd ]; then
    echo "$0: cannot find /usr/share/AAVMF/AAVMF_CODE.fd: install the package qemu-efi-aarch64" >&2
    exit 1
fi
if [ ! -e /usr/share/AAVMF/AAVMF_VARS.fd ]; then
    echo "$0: cannot find /usr/share/AAVMF/AAVMF_VARS.fd: install the package qemu-efi-aarch64" >&2
    exit 1
fi

# What the firmware remembers belongs to the disk, and is kept beside it.
variables=$disk.firmware
[ -e "$variables" ] || cp /usr/share/AAVMF/AAVMF_VARS.fd "$variables"

exec qemu-system-aarch64 \
    -M virt,gic-version=3 \
    -cpu cortex-a57 \
    -m 512 -nodefaults -display none -serial mon:stdio \
    -drive if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/AAVMF/AAVMF_CODE.fd \
    -drive if=pflash,unit=1,format=raw,file="$variables" \
    -drive if=none,id=disk,format=raw,file="$disk" \
    -netdev user,id=net \
    -device virtio-blk-pci,drive=disk,bootindex=1 \
    -device virtio-net-pci,netdev=net,romfile= \
    "$@"
