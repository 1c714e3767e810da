#!/usr/bin/env bash
# Make a root filesystem in a new folder, as input for artifacts.
#
#   tools/make_rootfs.sh busybox FOLDER RELEASE    a complete small system of busybox applets; needs busybox-static
#   tools/make_rootfs.sh debian  FOLDER RELEASE    Debian's minimal system from its mirror; needs root and debootstrap
set -euo pipefail

readonly KIND=${1:?usage: make_rootfs.sh busybox|debian FOLDER RELEASE}
readonly ROOT=${2:?usage: make_rootfs.sh busybox|debian FOLDER RELEASE}
readonly RELEASE=${3:?usage: make_rootfs.sh busybox|debian FOLDER RELEASE}

fail() { printf 'make_rootfs: cannot %s\n' "$*" >&2; exit 1; }

make_busybox() {
    local busybox applet
    busybox=$(command -v busybox) || fail "find busybox: install the package busybox-static"
    mkdir -p "$ROOT"/{dev,etc/init.d,home,mnt,proc,root,run,sys,tmp,usr/bin,usr/lib,usr/sbin,var/lib,var/log}
    ln -s usr/bin "$ROOT/bin"
    ln -s usr/sbin "$ROOT/sbin"
    ln -s usr/lib "$ROOT/lib"
    ln -s ../run "$ROOT/var/run"
    install -m 755 "$busybox" "$ROOT/usr/bin/busybox"
    "$busybox" --list-full | while read -r applet; do
        applet=usr/${applet#usr/}
        if [ "$applet" != usr/bin/busybox ] && [ -d "$ROOT/${applet%/*}" ]; then
            ln -s /usr/bin/busybox "$ROOT/$applet"
        fi
    done
    chmod 1777 "$ROOT/tmp"
    chmod 700 "$ROOT/root"
    printf 'root::0:0:root:/root:/bin/sh\n' >"$ROOT/etc/passwd"
    printf 'root:x:0:\n' >"$ROOT/etc/group"
    printf 'demo\n' >"$ROOT/etc/hostname"
    printf 'proc /proc proc defaults 0 0\nsysfs /sys sysfs defaults 0 0\ntmpfs /run tmpfs defaults 0 0\n' >"$ROOT/etc/fstab"
    printf '::sysinit:/etc/init.d/rcS\n::respawn:/sbin/getty -L console 0 linux\n::ctrlaltdel:/sbin/reboot\n' >"$ROOT/etc/inittab"
    printf '#!/bin/sh\nmount -a\nhostname -F /etc/hostname\n' >"$ROOT/etc/init.d/rcS"
    chmod 755 "$ROOT/etc/init.d/rcS"
    printf 'ID=demo\nNAME="Demo system of busybox"\nVERSION_ID=%s\n' "$RELEASE" >"$ROOT/etc/os-release"
}

make_debian() {
    [ "$(id -u)" -eq 0 ] || fail "install Debian into a folder: this needs root"
    command -v debootstrap >/dev/null || fail "find debootstrap: install the package debootstrap"
    debootstrap --variant=minbase stable "$ROOT" >&2
    rm -rf "$ROOT"/var/cache/apt/archives/*.deb "$ROOT"/var/lib/apt/lists/*
}

[ ! -e "$ROOT" ] || fail "make $ROOT: it is there already"
case $KIND in
    busybox) make_busybox ;;
    debian) make_debian ;;
    *) fail "make a root filesystem of kind '$KIND': only busybox and debian" ;;
esac
mkdir -p "$ROOT/etc/mender"
printf 'artifact_name=%s\n' "$RELEASE" >"$ROOT/etc/mender/artifact_info"
