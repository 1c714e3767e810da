#!/usr/bin/env bash
# Show the main jobs on real input, by the commands alone: root filesystem -> image -> signed artifact -> verified,
# changed, compared, checked for a target, and refused when tampered with; then a device of two files that installs,
# tries and keeps it, and falls back from one that does not come up. Fails if any step does not do what it says.
#
#   DEMO_ROOTFS=debian    use a minimal Debian (root and debootstrap needed) instead of a small busybox system
#   DEMO_FOLDER=PATH      where everything is made, and left to look at (build/demo)
set -euo pipefail
cd "$(dirname "$0")/.."

readonly TOP=$PWD
readonly KIND=${DEMO_ROOTFS:-busybox}
readonly FOLDER=${DEMO_FOLDER:-build/demo}
case $KIND in debian) image_size=1Gi ;; *) image_size=256Mi ;; esac
PATH=$TOP/.venv/bin:$PATH

bold='' dim='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
fi

now() { date +%s%N; }
size() { stat -c %s "$1" | numfmt --to=iec-i --suffix=B --format=%.1f; }
title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
note() { printf '  %s\n' "$*"; }

fail() {
    printf '%sdemo: %s%s\n' "$red" "$1" "$plain" >&2
    [ ! -s log ] || cat log >&2
    exit 1
}

# run EXIT_CODE COMMAND...: shows the command, runs it, and says how long it took; fails on another exit code.
run() {
    local expected=$1 code=0 start
    shift
    printf '  %s$ %s%s\n' "$dim" "$*" "$plain"
    start=$(now)
    "$@" >log 2>&1 || code=$?
    took=$((($(now) - start) / 1000000))
    [ "$code" -eq "$expected" ] || fail "exit code $code where $expected was due: $*"
}

# step EXIT_CODE COMMAND...: the same, and shows what the command said.
step() {
    run "$@"
    sed 's/^/    /' log
    printf '    %sexit code %d after %d ms%s\n' "$dim" "$1" "$took" "$plain"
}

# at WHAT: remembers what the device came to, for the timeline.
at() { timeline+=("$(printf '%6d ms  %s' $((($(now) - began) / 1000000)) "$1")"); }

said() { grep -qF -- "$1" log || fail "expected to read: $1"; }

flip_a_byte() {
    local place=$(($(stat -c %s "$1") * 3 / 4)) byte
    byte=$(od -An -tu1 -j "$place" -N1 "$1")
    printf '%b' "\\x$(printf %x $((byte ^ 255)))" | dd of="$1" bs=1 seek="$place" conv=notrunc status=none
}

rm -rf "$FOLDER"
mkdir -p "$FOLDER"
cd "$FOLDER"

title "1. A root filesystem ($KIND)"
"$TOP/tools/make_rootfs.sh" "$KIND" rootfs v1 >log 2>&1 || fail "cannot make a root filesystem"
note "$(find rootfs | wc -l) files and folders, $(du -sh --apparent-size rootfs | cut -f1), in $FOLDER/rootfs"

title "2. A key, and an artifact signed with it: the folder becomes an ext4 image, without root"
step 0 bistable artifact keys generate --type p256 -o release
run 0 bistable artifact keys generate -o stranger
step 0 bistable artifact write rootfs -f rootfs --image-size "${image_size}B" \
    -n v1 -t demo-board -k release.key -o v1.mender
written=$took
run 0 bistable artifact write rootfs -f rootfs --image-size "${image_size}B" \
    -n v1 -t demo-board -k release.key -o again.mender
cmp v1.mender again.mender || fail "the same input gave other bytes"
note "the same input gave the same bytes, and $(size v1.mender) for an image of ${image_size}B"

title "3. Verified, and shown"
step 0 bistable artifact verify -k release.pub v1.mender
verified=$took
step 0 bistable artifact show v1.mender

title "4. Changed: another name, signed again; the payload is moved, not unpacked"
step 0 bistable artifact modify v1.mender -n v2 -k release.key -o v2.mender
renamed=$took
run 0 bistable artifact verify -k release.pub v2.mender
note "good"

title "5. Changed inside: files go into the image, without root and without mounting"
printf 'artifact_name=v3\n' >artifact_info
run 0 bistable artifact modify v2.mender -n v3 -k release.key -o v3.mender
step 0 bistable artifact cp -k release.key artifact_info v3.mender:/etc/mender/
copied=$took
run 0 bistable artifact cat v3.mender:/etc/mender/artifact_info
said 'artifact_name=v3'
step 1 bistable artifact diff v2.mender v3.mender
said /etc/mender/artifact_info

title "6. Will a device of an older generation take it? Not yet: it reads no zstd"
step 1 bistable artifact lint --deep --target mender-client-3 -t demo-board v3.mender
said lint.compression
step 0 bistable artifact repack --compression gzip -k release.key v3.mender -o v3-gzip.mender
step 0 bistable artifact lint --deep --target mender-client-3 -t demo-board v3-gzip.mender
if command -v mender-artifact >/dev/null; then
    note "and what the real program says of it:"
    step 0 mender-artifact validate -k release.pub v3-gzip.mender
else
    note "mender-artifact is not installed, so it is not asked"
fi

title "7. Refused: tampered with, cut off, signed by a stranger, not signed"
cp v3.mender tampered.mender
flip_a_byte tampered.mender
step 3 bistable artifact verify -k release.pub tampered.mender
head -c "$(($(stat -c %s v3.mender) / 2))" v3.mender >cut.mender
step 3 bistable artifact verify -k release.pub cut.mender
step 4 bistable artifact verify -k stranger.pub v3.mender
run 0 bistable artifact modify v3.mender -n v4 --drop-signature -o unsigned.mender
step 4 bistable artifact verify -k release.pub unsigned.mender

title "8. A device: two files are its slots, and a file is what its boot loader remembers"
run 0 bistable artifact extract -k release.pub -o factory v1.mender
mv factory/files/rootfs.ext4 slot-a.img
truncate -s "$(stat -c %s slot-a.img)" slot-b.img
printf 'device_type=demo-board\n' >device_type
printf 'artifact_name=v1\n' >artifact_info
cat >device.toml <<END
[device]
device-type-file = "$PWD/device_type"
artifact-info-file = "$PWD/artifact_info"
data-dir = "$PWD/data"
[slots]
a = "$PWD/slot-a.img"
b = "$PWD/slot-b.img"
[boot]
backend = "simulated"
simulated-state = "$PWD/device.json"
[trust]
verify-keys = ["$PWD/release.pub"]
[modules]
directories = ["$TOP/client/dist/modules/v3"]
[scripts]
rootfs-dir = "$PWD/scripts"
[health]
directory = "$PWD/health.d"
END
device() { python -m bistable.client.boot.simulated "$1" device.json "${@:2}"; }
ctl() { bistablectl "$@" --config device.toml; }
note "device: the machine around the slots; ctl: bistablectl with this device's configuration"
timeline=() began=$(now)
step 0 device create
at "slot a runs v1"
step 0 ctl doctor

title "9. An update: to the other slot, read back, tried, kept"
step 0 ctl install v3-gzip.mender
installed=$took
at "v3 is in slot b, verified and read back; slot a still runs"
step 1 ctl commit
said 'has to be rebooted first'
step 0 device reboot
said 'booted slot b'
at "slot b runs, on trial"
step 0 ctl commit
said 'permanent'
at "v3 is kept"
step 0 ctl status

title "10. Refused by the device: nothing of it runs, and slot b runs as before"
step 1 ctl install tampered.mender
step 1 ctl install unsigned.mender
at "a tampered artifact and an unsigned one were refused"

title "11. One that does not come up: the boot loader falls back, and the client reports it"
run 0 bistable artifact modify v3.mender -n v4 -k release.key -o v4.mender
step 0 ctl install v4.mender
at "v4 is in slot a"
step 0 device break a
step 0 device reboot
said 'booted slot b'
at "slot a was tried three times and given up; slot b runs again"
step 1 ctl commit
said 'the boot loader fell back'
at "v4 is reported as failed"
step 0 ctl status
said 'v4: failure'
step 0 ctl history

rm -f log
title "Done: every step did what it says"
note "an image of ${image_size}B: $(size v1.mender) with zstd, $(size v3-gzip.mender) with gzip"
note "image made, hashed, compressed and signed in $written ms, verified in $verified ms"
note "renamed and signed again in $renamed ms; a file put into the image in $copied ms"
note "installed on the device, written and read back, in $installed ms; and what came of it there:"
for moment in "${timeline[@]}"; do note "$moment"; done
note "all of it is in $FOLDER, to look at"
