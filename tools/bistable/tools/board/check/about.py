"""What a board claims, and what resets it."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.model import UBOOTS, Flow, Status
from bistable.tools.disk.layout.model import ExtraKind

_WORD: Final = re.compile(r"[A-Za-z0-9._+-]+")
_MACHINE: Final = re.compile(r"[a-z0-9][a-z0-9.-]*")
_LABELS: Final[Mapping[ExtraKind, int]] = {ExtraKind.EXT4: 16, ExtraKind.FAT: 11}
"""Characters of the label of a file system."""

_SHORTEST: Final = 10
"""Seconds that a daemon may be late under load."""

_SHORTEST_BOOT: Final = 30
"""Seconds from U-Boot to a daemon that feeds the watchdog, with a slow card and a check of file systems."""

_LONGEST: Final = 600
_PROGRAMS: Final[Mapping[str, str]] = {
    "amd64": "qemu-system-x86_64",
    "arm64": "qemu-system-aarch64",
    "armhf": "qemu-system-arm",
    "riscv64": "qemu-system-riscv64",
}


def check_claims(facts: Facts) -> Iterator[Finding]:
    """Yield what a board claims without saying where it is from."""
    board = facts.board
    if not board.sources:
        says = facts.warning if board.status is Status.CONTRIBUTED else facts.error
        yield says(
            "sources",
            None,
            "nothing says where the facts are from",
            'add [sources] with addresses: u-boot = "https://..."',
        )
    if board.status is not Status.BOOTED and not board.limits:
        says = facts.warning if board.status is Status.CONTRIBUTED else facts.error
        yield says(
            "board",
            "limits",
            f"the board is {board.status.value}, not booted, and does not say what was not tried",
            'add limits = ["...", "..."], a sentence each',
        )
    if not board.steps and board.qemu is None:
        yield facts.warning(
            "flash", "steps", "nothing says how the disk gets onto the board", 'add [flash] steps = ["...", "..."]'
        )


def check_names(facts: Facts) -> Iterator[Finding]:
    """Yield names that others cannot take."""
    board = facts.board
    if not _WORD.fullmatch(board.device_type):
        yield facts.warning(
            "device",
            "type",
            f"{board.device_type!r} has characters that shells and servers take for something else",
            "write letters, digits and - only",
        )
    for extra in () if board.layout is None else board.layout.extras:
        limit = _LABELS.get(extra.filesystem)
        if limit is not None and len(extra.name) > limit:
            yield facts.warning(
                f"extra.{extra.name}",
                None,
                f"its file system is labelled {extra.name[:limit]}: a label of {extra.filesystem.value} has {limit} "
                "characters at most",
                "choose a shorter name, or look for it by the partition's name",
            )
        if not _WORD.fullmatch(extra.name):
            yield facts.warning(
                f"extra.{extra.name}",
                None,
                f"{extra.name!r} has characters that /dev/disk/by-partlabel shows otherwise",
                "write letters, digits and - only",
            )
    if board.yocto is not None and not _MACHINE.fullmatch(board.yocto.machine):
        yield facts.warning(
            "yocto",
            "machine",
            f"{board.yocto.machine!r} is no name that OpenEmbedded's overrides work with",
            "it has lower case letters, digits and - only; look it up in conf/machine of the layer",
        )


def check_watchdog(facts: Facts) -> Iterator[Finding]:
    """Yield what does not reset a system that hangs."""
    board, watchdog = facts.board, facts.board.watchdog
    admitted = any("watchdog" in limit.lower() for limit in board.limits)
    if watchdog is None:
        if admitted:
            return
        yield facts.warning(
            "watchdog",
            None,
            "nothing resets a system that hangs, and nothing falls back then",
            'add [watchdog] driver = "..."; or say among [board] limits why there is no watchdog',
        )
        return
    shortest = _SHORTEST if watchdog.uboot is None else _SHORTEST_BOOT
    if not shortest <= watchdog.timeout <= _LONGEST and not admitted:
        yield facts.warning(
            "watchdog",
            "timeout",
            f"{watchdog.timeout} seconds are "
            + ("less than a slow boot takes" if watchdog.timeout < shortest else "long for one who waits"),
            f"write {shortest} to {_LONGEST}, if the hardware can; 60 fits most boards",
        )
    if board.boot.flow not in UBOOTS:
        if watchdog.uboot is not None:
            yield facts.error(
                "watchdog", "uboot", f"no U-Boot starts it: the loader is {board.boot.flow.value}", "leave it out"
            )
    elif watchdog.uboot is None and not admitted:
        yield facts.warning(
            "watchdog",
            "uboot",
            "U-Boot does not start the watchdog: a kernel that hangs before userspace stays so",
            "write what `wdt list` in U-Boot shows; or say among [board] limits what the watchdog does not cover",
        )


def check_qemu(facts: Facts) -> Iterator[Finding]:
    """Yield what does not go together in the machine of QEMU."""
    board, qemu = facts.board, facts.board.qemu
    if qemu is None:
        return
    program = _PROGRAMS[board.boot.architecture]
    if qemu.program.rpartition("/")[2] != program:
        yield facts.error(
            "qemu", "program", f"{qemu.program} does not run {board.boot.architecture}", f"write {program}"
        )
    if board.boot.flow in UBOOTS and "bios" not in qemu.firmware:
        yield facts.error(
            "qemu", "firmware", "the loader is U-Boot, and this is UEFI", 'write firmware = { bios = ".../u-boot.bin" }'
        )
    if "uboot" not in board.boot.flow.value and any("u-boot" in str(path) for path in qemu.firmware.values()):
        yield facts.error(
            "qemu",
            "firmware",
            f"the loader is {board.boot.flow.value}, and this is U-Boot",
            "write firmware = { code = ..., variables = ... } of UEFI",
        )
    if board.boot.flow is Flow.EFI and "variables" not in qemu.firmware:
        yield facts.error(
            "qemu",
            "firmware",
            "the firmware chooses the slot by its variables, and keeps none here",
            "write firmware = { code = ..., variables = ... }",
        )
    if qemu.watchdog is not None and board.watchdog is None:
        yield facts.error(
            "qemu", "watchdog", f"there is a {qemu.watchdog}, and no [watchdog]", 'add [watchdog] driver = "..."'
        )
