#!/usr/bin/env bash
# Set up what tests, lint and demo need: packages of the distribution (after saying which) and the virtual
# environment .venv. Does nothing if nothing changed since the last run.
#
#   BISTABLE_SKIP_PACKAGES=1   leave the system's packages alone; what needs an absent program is then skipped
#   PYTHON=/path/to/python3    use this interpreter instead of looking for one
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VENV=.venv
readonly STAMP=$VENV/.set-up
readonly PEERS=.cache/peers
readonly LOG=.cache/apt.log

# What tests and demo call: image tools, a token, peers to compare with. Without one of them a few tests are skipped.
readonly PACKAGES=(
    bmap-tools busybox-static chromium chromium-driver dbus dosfstools e2fsprogs erofs-utils fakeroot fdisk gzip jq
    libarchive-tools libcap2-bin libglib2.0-bin libubootenv-tool mender-artifact mmdebstrap mount mtd-utils mtools opensc
    openssl podman podman-compose polkitd rpm runc shellcheck softhsm2 squashfs-tools u-boot-tools xz-utils zstd
    # Machines that are booted, and what boots them.
    grub-common grub-efi-amd64-bin ovmf qemu-efi-aarch64 qemu-system-arm qemu-system-misc qemu-system-x86 qemu-utils
    systemd-boot-efi u-boot-qemu
)
# Used from an unpacked copy and never installed, because installing it would start a service on this machine.
readonly UNPACKED_PACKAGE=mender-client
readonly UNPACKED_PROGRAM=mender

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: cannot %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

fingerprint() {
    printf '%s\n' "$PWD" "${BISTABLE_SKIP_PACKAGES:-}" "${PYTHON:-}" | cat - pyproject.toml tools/setup.sh | sha256sum
}

# --- packages of the distribution

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
available() { [[ $(LC_ALL=C apt-cache policy "$1" 2>/dev/null) == *"Candidate: "[!\(]* ]]; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Its many lines are of interest only when it fails.
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@" >"$LOG" 2>&1 || {
        tail -n 20 "$LOG" >&2
        return 1
    }
}

refresh_lists_for() {
    local package
    for package in "$@"; do
        if ! available "$package"; then
            say "reading the package lists (apt-get update)"
            apt update || fail "read the package lists; BISTABLE_SKIP_PACKAGES=1 goes on without packages"
            return
        fi
    done
}

install_packages() {
    local package missing=() wanted=()
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! has sudo; then
        say "not root and no sudo: these packages are left out, and tests that need them: ${missing[*]}"
        return 0
    fi
    refresh_lists_for "${missing[@]}"
    for package in "${missing[@]}"; do
        if available "$package"; then
            wanted+=("$package")
        else
            say "not in this distribution, left out, and tests that need it: $package"
        fi
    done
    [ "${#wanted[@]}" -gt 0 ] || return 0
    say "installing these packages$([ "$(id -u)" -eq 0 ] || echo ' with sudo'): ${wanted[*]}"
    # Lists that are too old name files that are gone.
    local install=(install --no-install-recommends --yes "${wanted[@]}")
    apt "${install[@]}" || { apt update && apt "${install[@]}"; } ||
        fail "install packages; BISTABLE_SKIP_PACKAGES=1 goes on without them"
}

unpack_peer() {
    if has "$UNPACKED_PROGRAM" || [ -x "$PEERS/usr/bin/$UNPACKED_PROGRAM" ]; then
        return 0
    fi
    if ! available "$UNPACKED_PACKAGE"; then
        say "not in this distribution, left out, and tests that need it: $UNPACKED_PACKAGE"
        return 0
    fi
    local needed
    mapfile -t needed < <(LC_ALL=C apt-cache depends "$UNPACKED_PACKAGE" | sed -n 's/^  Depends: \([^<]*\)$/\1/p')
    install_packages "${needed[@]}"
    say "unpacking $UNPACKED_PACKAGE into $PEERS (it is not installed)"
    mkdir -p "$PEERS"
    (cd "$PEERS" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$UNPACKED_PACKAGE" >&2) ||
        fail "download $UNPACKED_PACKAGE; BISTABLE_SKIP_PACKAGES=1 goes on without it"
    dpkg-deb -x "$PEERS/$UNPACKED_PACKAGE"_*.deb "$PEERS"
    rm -f "$PEERS/$UNPACKED_PACKAGE"_*.deb
}

set_up_packages() {
    if [ -n "${BISTABLE_SKIP_PACKAGES:-}" ]; then
        say "the system's packages are left alone"
    elif has apt-get && has dpkg-query; then
        find_python >/dev/null || install_packages python3 python3-venv
        install_packages "${PACKAGES[@]}"
        unpack_peer
    else
        say "no apt-get here: tests are skipped that need what these Debian packages bring: ${PACKAGES[*]} $UNPACKED_PACKAGE"
    fi
}

# --- the virtual environment

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# Its programs name the folder where it was made: one that was moved or copied does not work.
usable_environment() {
    "$VENV/bin/python3" -m pip --version >/dev/null 2>&1 && grep -q "^command = .* $PWD/$VENV\$" "$VENV/pyvenv.cfg"
}

set_up_environment() {
    local python
    python=$(find_python) ||
        fail "find Python 3.11 or later with its venv module: install python3 and python3-venv, or set PYTHON=/path/to/python3"
    if ! usable_environment; then
        "$python" -m venv --clear "$PWD/$VENV"
    fi
    say "installing the project and its tools into $VENV ($("$VENV/bin/python3" --version))"
    # 25.1 is the first pip that reads dependency groups; Debian 12 has 23.0.
    "$VENV/bin/python3" -m pip install --quiet --upgrade 'pip>=25.1'
    "$VENV/bin/python3" -m pip install --quiet --group test --group peers --group lint --group build --group layer --editable '.[all]'
}

if [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(fingerprint)" ] && "$VENV/bin/python3" -c '' 2>/dev/null; then
    exit 0
fi
mkdir -p .cache
set_up_packages
set_up_environment
fingerprint >"$STAMP"
