#!/bin/sh
# Rendered from board.toml by `bistable board render`; changes here are lost.
#
# QEMU x86-64, GRUB: starts it with a disk image, which is written to. Its serial console is here; Ctrl-a x ends it.
#
#     qemu.sh DISK [more arguments of QEMU]
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 DISK [more arguments of QEMU]" >&2
    exit 2
fi
disk=$1
shift

if [ ! -e /usr/share/OVMF/OVMF_CODE_4M.fd ]; then
    echo "$0: cannot find /usr/share/OVMF/OVMF_CODE_4M.fd: install the package ovmf" >&2
    exit 1
fi
if [ ! -e /usr/share/OVMF/OVMF_VARS_4M.fd ]; then
    echo "$0: cannot find /usr/share/OVMF/OVMF_VARS_4M.fd: install the package ovmf" >&2
    exit 1
fi

# What the firmware remembers belongs to the disk, and is kept beside it.
variables=$disk.firmware
[ -e "$variables" ] || cp /usr/share/OVMF/OVMF_VARS_4M.fd "$variables"

exec qemu-system-x86_64 \
    -M q35 \
    -cpu max \
    -vga none \
    -m 512 -nodefaults -display none -serial mon:stdio \
    -drive if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
    -drive if=pflash,unit=1,format=raw,file="$variables" \
    -drive if=none,id=disk,format=raw,file="$disk" \
    -netdev user,id=net \
    -device virtio-blk-pci,drive=disk,bootindex=1 \
    -device virtio-net-pci,netdev=net,romfile= \
    -device i6300esb \
    "$@"
