#!/bin/sh
# Rendered from board.toml by `bistable board render`; changes here are lost.
#
# QEMU ARM64 (virt): starts it with a disk image, which is written to. Its serial console is here; Ctrl-a x ends it.
#
#     qemu.sh DISK [more arguments of QEMU]
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 DISK [more arguments of QEMU]" >&2
    exit 2
fi
disk=$1
shift

if [ ! -e /usr/lib/u-boot/qemu_arm64/u-boot.bin ]; then
    echo "$0: cannot find /usr/lib/u-boot/qemu_arm64/u-boot.bin: install the package u-boot-qemu" >&2
    exit 1
fi

exec qemu-system-aarch64 \
    -M virt,gic-version=3 \
    -cpu cortex-a57 \
    -m 512 -nodefaults -display none -serial mon:stdio \
    -bios /usr/lib/u-boot/qemu_arm64/u-boot.bin \
    -drive if=none,id=disk,format=raw,file="$disk" \
    -netdev user,id=net \
    -device virtio-blk-pci,drive=disk,bootindex=1 \
    -device virtio-net-pci,netdev=net,romfile= \
    -device i6300esb \
    "$@"
