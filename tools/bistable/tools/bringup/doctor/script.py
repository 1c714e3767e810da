"""The commands that look at a device: a script for any POSIX shell, with nothing but what the smallest systems have."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

MARK: Final = "@"
STATUS: Final = "@="

SCRIPT_SUFFIX: Final = ".scr"
SCRIPT_HEADER: Final = 72
"""Bytes in front of the text of a boot script; there may be a time in them."""

_HEAD: Final = """\
p() { n=0; while [ $n -lt 500 ] && { IFS= read -r l || [ "$l" ]; }; do printf ' %.4000s\\n' "$l"; n=$((n+1)); done; }
s() { echo "@$1"; shift; { "$@"; echo "@=$?"; } 2>&1 </dev/null | p; }
f() { [ -e "$1" ] && { echo "@$1"; p <"$1"; }; }
v() { r=; [ -r "$1" ] && IFS= read -r r <"$1"; printf '%s|' "$r"; }
"""
"""`p` passes lines on, not too many; `s NAME COMMAND` runs it; `f FILE` shows it; `v FILE` is a value in a list."""

_LISTS: Final = """\
blocks() { for d in /sys/class/block/*; do
    t=; u=; while IFS='=' read -r k w; do case $k in PARTNAME) t=$w ;; PARTUUID) u=$w ;; esac; done <$d/uevent
    printf '%s|' "${d##*/}"; v $d/dev; v $d/partition; v $d/start; v $d/size; echo "$u|$t"
done; }
links() { for d in /dev/disk/by-partuuid/* /dev/disk/by-partlabel/*; do
    [ -e "$d" ] && echo "$d|$(readlink "$d")"
done; }
volumes() { for d in /sys/class/ubi/ubi*_*; do
    [ -e $d/name ] && { printf '%s|' "${d##*/}"; v $d/name; v $d/reserved_ebs; v $d/usable_eb_size; echo; }
done; }
watchdogs() { for d in /sys/class/watchdog/watchdog*; do
    [ -e $d ] || continue
    w=$(readlink $d/device/driver); printf '%s|%s|' "${d##*/}" "${w##*/}"
    v $d/identity; v $d/state; v $d/timeout; v $d/max_timeout; echo
done; }
has() { for d; do [ -e "$d" ] && echo "$d"; done; }
"""

_FILES: Final = ("/proc/cmdline", "/proc/mtd", "/proc/self/mountinfo", "/etc/fstab", "/etc/fw_env.config")
_TREE: Final = ("model", "compatible")
_SETTINGS: Final = 'for d in /etc/bistable/bistable.toml /etc/bistable/conf.d/*.toml; do f "$d"; done\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one of the commands said; no status: it was a file, or there was too much of it."""

    lines: tuple[str, ...]
    status: int | None = None

    @property
    def text(self) -> str:
        """Return all of it."""
        return "".join(f"{line}\n" for line in self.lines)


def first_look(variables: Iterable[str], files: Iterable[str], kept: Iterable[str]) -> str:
    """Return the script for the first look.

    `variables` are those of the boot loader's environment, `files` may be there or not, `kept` are shown.
    """
    lines = ["s user id -u", "s kernel uname -r", "s modules ls /lib/modules"]
    lines += ["t() { tr '\\0' '\\n' </proc/device-tree/$1; }", *(f"s {name} t {name}" for name in _TREE)]
    lines += [f"f {path}" for path in _FILES]
    lines += [f"s {name} {name}" for name in ("blocks", "links", "volumes", "watchdogs")]
    lines += [f"s files has {shlex.join(files)}", *(f"f {shlex.quote(path)}" for path in kept)]
    if names := shlex.join(variables):
        lines.append(f"s environment fw_printenv {names}")
    lines += ["s status bistablectl status --json", "s doctor bistablectl doctor --json"]
    return _HEAD + _LISTS + _SETTINGS + "\n".join(lines) + "\n"


def second_look(folder: str, files: Iterable[PurePosixPath]) -> str:
    """Return the script that tells the SHA-256 of files in a folder."""
    tests = f"""d() {{ case $1 in *{SCRIPT_SUFFIX}) tail -c +{SCRIPT_HEADER + 1} "$1" ;; *) cat "$1" ;; esac; }}
c() {{ [ -e "$1" ] || return 1; command -v sha256sum >/dev/null || return 2; d "$1" | sha256sum; }}
cd {shlex.quote(folder)}
"""
    lines = [f"s {shlex.quote(path)} c {shlex.quote(path)}\n" for path in map(str, files)]
    return _HEAD + tests + "".join(lines)


def sections(output: str) -> dict[str, Section]:
    """Return what each command said, by its name; whatever is not of that form is passed over."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in output.splitlines():
        if line.startswith(MARK):
            current = found.setdefault(line.removeprefix(MARK), [])
        elif line.startswith(" "):
            current.append(line[1:])
    return {name: _section(lines) for name, lines in found.items()}


def _section(lines: list[str]) -> Section:
    status = lines[-1].removeprefix(STATUS) if lines and lines[-1].startswith(STATUS) else ""
    if not status.isdecimal():
        return Section(lines=tuple(lines))
    return Section(lines=tuple(lines[:-1]), status=int(status))
