#!/bin/sh
# Rendered from board.toml by `bistable board render`; changes here are lost.
#
# QEMU ARM (virt, 32 bits): starts it with a disk image, which is written to. Its serial console is here; Ctrl-a x ends it.
#
#     qemu.sh DISK [more arguments of QEMU]
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 DISK [more arguments of QEMU]" >&2
    exit 2
fi
disk=$1
shift

if [ ! -e /usr/lib/u-boot/qemu_arm/u-boot.bin ]; then
    echo "$0: cannot find /usr/lib/u-boot/qemu_arm/u-boot.bin: install the package u-boot-qemu" >&2
    exit 1
fi

exec qemu-system-arm \
    -M virt,highmem=off \
    -cpu cortex-a15 \
    -m 512 -nodefaults -display none -serial mon:stdio \
    -bios /usr/lib/u-boot/qemu_arm/u-boot.bin \
    -drive if=none,id=disk,format=raw,file="$disk" \
    -netdev user,id=net \
    -device virtio-blk-device,drive=disk,bootindex=1 \
    -device virtio-net-device,netdev=net \
    -device i6300esb \
    "$@"
