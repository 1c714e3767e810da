"""What a boot plan must fulfil before anything is made from it.

The values end up in scripts of shells with rules of their own, and in files that firmware reads. So only characters are
taken that no shell takes for anything else; nothing has to be quoted, and nothing can be quoted wrongly.
"""

import re
from pathlib import PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError, quoted
from bistable.artifact.limits import KIB
from bistable.client.boot.table import MOST_TRIES
from bistable.tools.boot import envfiles, grubenv, ubootenv
from bistable.tools.boot.plan import BootPlan, EnvironmentPlace, Loader, SlotPlace

BLOCK: Final = 512
MOST_PARTITION: Final = 128
MOST_ARGUMENTS: Final = KIB
"""The kernel takes 2 KiB on most architectures, and the boot loader adds to it."""

ARCHITECTURES: Final = ("amd64", "arm64", "armhf", "riscv64")
SLOT_NAMES: Final = ("a", "b")

_WORD: Final = re.compile(r"[A-Za-z0-9_.,:;=/@%+~*()\[\]-]+")
_PATH: Final = re.compile(r"(/[A-Za-z0-9_.+~-]+)+")
_ROOT: Final = re.compile(r"[A-Za-z0-9_=/:.-]+")
_DISK: Final = re.compile(r"[a-z]+ [0-9]")
_ADDRESS: Final = re.compile(r"[a-z_]+")
_WATCHDOG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,@+-]*")
"""What nodes of device trees are called; U-Boot calls its devices by them."""

_ADDED: Final = ("root=", "bistable.slot=")

_UBOOT: Final = (Loader.UBOOT, Loader.UBOOT_ENVIRONMENT)


def check_plan(plan: BootPlan) -> None:
    """Raise RequestError unless files can be made from the plan."""
    _check_slots(plan.slots)
    if plan.architecture not in ARCHITECTURES:
        raise _cannot(f"the architecture {quoted(plan.architecture)} is none of {', '.join(ARCHITECTURES)}")
    _check_partitions(plan)
    for path in (plan.kernel, plan.initrd, plan.devicetree, plan.grub_prefix):
        if path is not None:
            _check_path(path)
    _check_arguments(plan.arguments)
    if not 1 <= plan.tries <= MOST_TRIES:
        raise _cannot(f"a slot cannot be tried {plan.tries} times, only 1 to {MOST_TRIES}")
    if plan.loader in _UBOOT:
        _check_uboot(plan)
    elif plan.watchdog is not None:
        raise _cannot(
            f"the watchdog {quoted(plan.watchdog)} is started by U-Boot, and the loader is {plan.loader.value}"
        )
    if plan.loader is Loader.GRUB:
        place = _required(plan)
        _check_environment(place, grubenv.SIZE, grubenv.SIZE)
        _check_beside_directory(place)


def _check_slots(slots: tuple[SlotPlace, SlotPlace]) -> None:
    names = tuple(slot.name for slot in slots)
    if sorted(names) != list(SLOT_NAMES):
        raise _cannot(f"the slots are called {' and '.join(map(quoted, names))}, not a and b")
    for slot in slots:
        if not _ROOT.fullmatch(slot.root):
            raise _cannot(
                f"root={quoted(slot.root)} of slot {slot.name} is nothing that a boot script can pass on",
                hint="name it by PARTUUID=, or by its device",
            )
    if slots[0].root == slots[1].root:
        raise _cannot(f"both slots have the same root={slots[0].root}")


def _check_partitions(plan: BootPlan) -> None:
    numbers = [plan.boot_partition, *(slot.partition for slot in plan.slots)]
    if plan.environment is not None:
        numbers.append(plan.environment.partition)
    for number in numbers:
        if not 1 <= number <= MOST_PARTITION:
            raise _cannot(f"there is no partition {number}: they are numbered from 1 to {MOST_PARTITION}")
    if len(set(numbers)) != len(numbers):
        raise _cannot("two of boot partition, environment and slots are the same partition")


def _check_path(path: PurePosixPath) -> None:
    if not _PATH.fullmatch(str(path)) or ".." in path.parts:
        raise _cannot(f"{quoted(str(path))} is not an absolute path of letters, digits and . _ + ~ -")


def _check_arguments(arguments: str) -> None:
    if len(arguments) > MOST_ARGUMENTS:
        raise _cannot(f"the kernel's arguments have {len(arguments)} characters, at most {MOST_ARGUMENTS} are allowed")
    for word in arguments.split():
        if not _WORD.fullmatch(word):
            raise _cannot(
                f"the kernel's argument {quoted(word)} has characters that boot loaders take for something else",
                hint="leave out quotes, $, &, |, # and the like; a module's options can go to /etc/modprobe.d",
            )
        if word.startswith(_ADDED):
            raise _cannot(f"the kernel's arguments contain {quoted(word)}", hint="the boot script adds it by itself")


def _check_uboot(plan: BootPlan) -> None:
    if not _DISK.fullmatch(plan.disk):
        raise _cannot(
            f"U-Boot's name of the disk is {quoted(plan.disk)}",
            hint="give interface and number as U-Boot has them, such as `mmc 0`",
        )
    if plan.watchdog is not None and not _WATCHDOG.fullmatch(plan.watchdog):
        raise _cannot(
            f"the watchdog's name is {quoted(plan.watchdog)}, which is not one word of letters, digits and _ . , @ + -",
            hint="give it as `wdt list` in U-Boot shows it, such as watchdog@30280000",
        )
    for name, address in plan.addresses.items():
        if not _ADDRESS.fullmatch(name) or not 0 <= address < 1 << 64:
            raise _cannot(f"{quoted(name)} at {address:#x} is not a place in memory")
    if plan.loader is Loader.UBOOT:
        _check_environment(_required(plan), ubootenv.SMALLEST, ubootenv.LARGEST)
    elif plan.environment is not None:
        _check_environment(plan.environment, ubootenv.SMALLEST, ubootenv.LARGEST)


def _required(plan: BootPlan) -> EnvironmentPlace:
    if plan.environment is None:
        raise _cannot(f"{plan.loader.value} needs a place for its environment", hint="give it a partition of its own")
    return plan.environment


def _check_environment(place: EnvironmentPlace, smallest: int, largest: int) -> None:
    if not smallest <= place.size <= largest or place.size % BLOCK:
        allowed = f"{smallest}" if smallest == largest else f"{smallest} to {largest}, a multiple of {BLOCK}"
        raise _cannot(f"an environment of {place.size} bytes is not possible: it has {allowed}")
    first, second = place.offsets
    if min(first, second) < 0 or first % BLOCK or second % BLOCK:
        raise _cannot(f"the copies of the environment start at {first} and {second}, not at multiples of {BLOCK}")
    if abs(first - second) < place.size:
        raise _cannot(f"the copies of the environment overlap: they start at {first} and {second}")


def _check_beside_directory(place: EnvironmentPlace) -> None:
    """GRUB finds the copies by a directory, which has its own place."""
    for offset in place.offsets:
        if offset % envfiles.BLOCK:
            raise _cannot(f"a copy of the environment starts at {offset}, not at a multiple of {envfiles.BLOCK}")
        if offset < envfiles.END and offset + place.size > envfiles.START:
            raise _cannot(
                f"a copy of the environment starts at {offset}, where GRUB's directory of both is",
                hint=f"keep {envfiles.START} to {envfiles.END} free",
            )


def _cannot(why: str, *, hint: str | None = None) -> RequestError:
    return RequestError(f"cannot prepare the boot: {why}", hint=hint)
