#!/usr/bin/env bash
# Build a U-Boot for QEMU from the source package of the distribution, and print its path.
#
#   tools/build_uboot.sh        one that counts boots by itself
#   tools/build_uboot.sh ubi    one with its environment and the slots in UBI, on NOR flash
#
# Debian's own U-Boot for QEMU has neither `bootcount` nor UBI, and no environment that it can save. What is changed
# stands in tools/u-boot. The result is kept in .cache/qemu, named by what it was made of. Needs the packages dpkg-dev,
# gcc-aarch64-linux-gnu, bison, flex, libssl-dev, bc and make; about a minute of CPU time.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1-} in
    '') readonly CONFIG=$PWD/tools/u-boot/bistable.config NAME=u-boot ;;
    ubi) readonly CONFIG=$PWD/tools/u-boot/ubi.config NAME=ubi-u-boot ;;
    *) printf 'build_uboot: cannot build "%s": there is only "ubi"\n' "$1" >&2; exit 2 ;;
esac
readonly PATCH=$PWD/tools/u-boot/virtio-environment.patch
readonly CACHE=$PWD/.cache/qemu
readonly KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
readonly CROSS=aarch64-linux-gnu-

say() { printf 'build_uboot: %s\n' "$*" >&2; }
fail() { say "cannot $*"; exit 1; }

for pair in dpkg-source:dpkg-dev "${CROSS}gcc:gcc-aarch64-linux-gnu" bison:bison flex:flex bc:bc make:make; do
    command -v "${pair%%:*}" >/dev/null || fail "find ${pair%%:*}: install the package ${pair#*:}"
done
[ -e /usr/include/openssl/evp.h ] || fail "find the headers of openssl: install the package libssl-dev"

release=$(dpkg-query -W -f '${source:Version}' u-boot-qemu 2>/dev/null) || fail "tell the version: install u-boot-qemu"
key=$(printf '%s\n' "$release" | cat - "$CONFIG" "$PATCH" | sha256sum | cut -c 1-16)
readonly RESULT=$CACHE/$NAME-$key.bin
if [ -e "$RESULT" ]; then
    printf '%s\n' "$RESULT"
    exit 0
fi

mkdir -p "$CACHE"
work=$(mktemp -d "$CACHE/u-boot.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The places that packages come from are asked for sources, too, in lists of our own.
mkdir -p "$work"/apt/lists/partial "$work"/apt/cache/archives/partial
# shellcheck disable=SC2016  # the names are apt's
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    awk '!seen[$0]++' | sed "s|^|deb-src [signed-by=$KEYS] |" >"$work/apt/sources"
readonly APT=(-q -o "Dir::Etc::SourceList=$work/apt/sources" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache")

say "fetching the source of u-boot $release"
apt-get "${APT[@]}" update >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; fail "fetch the lists of sources"; }
(cd "$work" && apt-get "${APT[@]}" source "u-boot=$release") >>"$work/log" 2>&1 ||
    { tail -n 5 "$work/log" >&2; fail "fetch the source of u-boot $release"; }

source=$(find "$work" -mindepth 1 -maxdepth 1 -type d -name 'u-boot-*')
patch -s -d "$source" -p1 <"$PATCH"
say "building; the log is in $CACHE/u-boot.log"
(
    cd "$source"
    export SOURCE_DATE_EPOCH=0 ARCH=arm CROSS_COMPILE=$CROSS
    make -s qemu_arm64_defconfig
    scripts/kconfig/merge_config.sh -m .config "$CONFIG"
    make -s olddefconfig
    make -s -j"$(nproc)" u-boot.bin
) >"$CACHE/u-boot.log" 2>&1 || { tail -n 5 "$CACHE/u-boot.log" >&2; fail "build u-boot"; }

cp "$source/u-boot.bin" "$work/result"
mv "$work/result" "$RESULT"
printf '%s\n' "$RESULT"
