#!/usr/bin/env bash
# Build the benchmark's input: a 1 GiB ext4 image of a real Debian root file system, about 80 % full.
#
#   benchmarks/image.sh IMAGE
#
# Needs root (debootstrap) and the package mirror of this machine. Does nothing if IMAGE exists.
set -euo pipefail

readonly IMAGE=${1:?usage: image.sh IMAGE}
readonly SUITE=bookworm
readonly PACKAGES=systemd,systemd-sysv,udev,dbus,python3,perl,vim,openssh-client,curl,iproute2,less
# Unpacked and not configured: their set-up wants a running system.
readonly UNPACKED="linux-image-amd64 git gdb"

[ -e "$IMAGE" ] && exit 0
[ "$(id -u)" -eq 0 ] || { echo "image.sh: cannot make a Debian root file system: needs root" >&2; exit 1; }
for tool in debootstrap mke2fs; do
    command -v "$tool" >/dev/null || { echo "image.sh: cannot find $tool: install the package ${tool/mke2fs/e2fsprogs}" >&2; exit 1; }
done

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$(dirname "$IMAGE")"
echo "image.sh: installing Debian $SUITE into a folder (some minutes)" >&2
debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root/fs" >"$root/log" 2>&1 || { tail -n 20 "$root/log" >&2; exit 1; }
mkdir "$root/debs"
(
    cd "$root/debs"
    # The kernel's package name holds its version; the meta package depends on it.
    kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/^  Depends: //p')
    # shellcheck disable=SC2086  # a list of words
    apt-get -q download ${UNPACKED/linux-image-amd64/$kernel} >/dev/null
    for package in *.deb; do dpkg-deb -x "$package" "$root/fs"; done
)
rm -rf "$root/fs"/var/cache/apt/archives/*.deb "$root/fs"/var/lib/apt/lists/*
mke2fs -q -t ext4 -d "$root/fs" -L rootfs "$IMAGE.part" 1G >/dev/null
mv "$IMAGE.part" "$IMAGE"
du -m --apparent-size "$IMAGE" >&2
