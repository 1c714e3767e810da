#!/bin/sh
# What is done at each boot for the data partition. Each step may be repeated, and one that fails does not keep the
# device from booting: it says so and goes on.

conf=${BISTABLE_DATA_CONF:-/usr/share/bistable/data.conf}
data=${BISTABLE_DATA:-/data}
identity=${BISTABLE_MACHINE_ID:-/etc/machine-id}
sys=${BISTABLE_SYS:-/sys}
mounts=${BISTABLE_MOUNTS:-/proc/mounts}
features=
persist=
# shellcheck disable=SC1090 # made by the build
. "$conf"

say() {
    echo "bistable-data: $*" >&2
}

mounted_at() {
    while read -r source point _; do
        [ "$point" = "$1" ] && echo "$source"
    done < "$mounts" | tail -n 1
}

take_rest() {
    echo ", +" | sfdisk --quiet --no-reread --no-tell-kernel -N "$1" "/dev/$disk"
}

# The partition is the last one of its disk (`bistable image files` puts it there), so that it can grow.
grow() {
    device=$(mounted_at "$data")
    [ -n "$device" ] || { say "$data is not a partition of its own"; return 1; }
    name=$(basename "$(readlink -f "$device")")
    [ -e "$sys/class/block/$name/partition" ] || return 0
    number=$(cat "$sys/class/block/$name/partition")
    disk=$(basename "$(dirname "$(readlink -f "$sys/class/block/$name")")")
    end=$(($(cat "$sys/class/block/$name/start") + $(cat "$sys/class/block/$name/size")))
    # Behind it there may be the second copy of the table, and less than an erase block.
    if [ $(($(cat "$sys/class/block/$disk/size") - end)) -gt 16384 ]; then
        # The new table is written whole, first to one and then to the other of its two places.
        sfdisk --quiet --relocate gpt-bak-std "/dev/$disk" 2>/dev/null
        # In a master boot record, the partitions from the fifth on lie in another one, which has to grow first.
        if [ "$number" -gt 4 ]; then
            for outer in 1 2 3 4; do
                case $(sfdisk --part-type "/dev/$disk" "$outer" 2>/dev/null) in 5 | f | 85) take_rest "$outer" ;; esac
            done
        fi
        take_rest "$number" || return 1
        partx --update --nr "$number" "/dev/$disk" || return 1
    fi
    # Also where the power failed between the two: nothing to do takes it some milliseconds.
    resize2fs "$device" >/dev/null 2>&1 || { say "cannot make the file system of $data larger"; return 1; }
}

# A new slot comes without an identity, or with that of a read-only image, which is made up anew at each boot.
machine_id() {
    kept=$data/machine-id
    current=$(cat "$identity" 2>/dev/null)
    if [ -s "$kept" ]; then
        [ "$(cat "$kept")" = "$current" ] && return 0
        # Where systemd has mounted one of its own over it, that goes; on a read-only slot, ours is mounted.
        umount "$identity" 2>/dev/null
        cp "$kept" "$identity" 2>/dev/null || mount --bind "$kept" "$identity" || return 1
        # The journal has begun with the other one.
        if command -v systemctl >/dev/null; then
            systemctl --no-block try-restart systemd-journald.service
        fi
    elif [ ${#current} -eq 32 ]; then
        echo "$current" > "$kept.new" && sync "$kept.new" && mv "$kept.new" "$kept" && sync "$data"
    fi
}

keep() {
    for place in $persist; do
        # As one name; the one of /a/b is not that of /a-b.
        changes=$data/persist/$(echo "${place#/}" | sed 's,-,%2d,g; s,/,-,g')
        mkdir -p "$place" 2>/dev/null
        mkdir -p "$changes/upper" "$changes/work" || return 1
        [ "$(mounted_at "$place")" = overlay ] && continue
        mount -t overlay -o "lowerdir=$place,upperdir=$changes/upper,workdir=$changes/work" overlay "$place" ||
            say "cannot keep the changes in $place: they are lost with the next update"
    done
}

[ "${1:-start}" = start ] || exit 0
case " $features " in *" grow-data "*) grow || say "$data keeps its size" ;; esac
case " $features " in *" machine-id "*) machine_id || say "the identity of the machine is not kept" ;; esac
keep || say "cannot keep changes in $persist"
exit 0
