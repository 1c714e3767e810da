"""Which slot runs, as far as the kernel's arguments and the mounted root file system tell."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bistable.client.errors import SlotError
from bistable.client.model import SlotName
from bistable.client.slots.devices import MOUNTS, Mount, identify, read_mounts
from bistable.client.slots.pair import SlotPair

ARGUMENTS: Final = ("bistable.slot", "rauc.slot")
"""Kernel arguments with which a boot script names the slot that it boots."""

CMDLINE: Final = Path("/proc/cmdline")

_ROOT: Final = Path("/")


def booted_slot(
    pair: SlotPair,
    *,
    cmdline: str,
    root: Mount | None,
    identify: Callable[[str], str | None],
    boot_names: Mapping[SlotName, str] | None = None,
) -> SlotName:
    """Return which slot runs, from all that points to one: a kernel argument, `root=`, and what is mounted as `/`.

    `identify` says which device a name means. What points to neither slot (an overlay as root, say) says nothing.
    `boot_names` are what the boot loader calls the slots, where that differs from their own names.

    Raises:
        SlotError: nothing points to a slot, the hints contradict one another, or both slots are one device.
    """
    devices = {name: identify(str(pair.slot(name).device)) for name in pair.names}
    known = {identity: name for name, identity in devices.items() if identity is not None}
    if known and len(known) < sum(identity is not None for identity in devices.values()):
        raise SlotError(
            f"cannot tell the slots apart: {pair.a.device} and {pair.b.device} are the same device",
            hint="give each slot a device of its own",
        )
    arguments = _arguments(cmdline)
    hints: dict[str, SlotName] = {}
    for key in ARGUMENTS:
        if key in arguments:
            hints[f"{key}={arguments[key]}"] = _named(pair, key, arguments[key], boot_names or {})
    spoken = arguments.get("root")
    if spoken is not None and (found := known.get(identify(spoken) or "")):
        hints[f"root={spoken}"] = found
    if root is not None:
        mounted = known.get(root.identity) or known.get(identify(root.source) or "")
        if mounted:
            hints[f"what is mounted as / ({root.source})"] = mounted
    return _agreed(pair, hints)


def running_slot(pair: SlotPair, *, boot_names: Mapping[SlotName, str] | None = None) -> SlotName:
    """Return which slot this machine runs from.

    Raises:
        SlotError: as for `booted_slot`, or /proc cannot be read.
    """
    try:
        cmdline = CMDLINE.read_text("utf-8", "surrogateescape")
    except OSError as e:
        raise SlotError(f"cannot tell which slot runs: {e}", hint="is /proc mounted?") from e
    # The last one lies on top of all others.
    root = next((mount for mount in reversed(read_mounts(MOUNTS)) if mount.point == _ROOT), None)
    return booted_slot(pair, cmdline=cmdline, root=root, identify=identify, boot_names=boot_names)


def _agreed(pair: SlotPair, hints: Mapping[str, SlotName]) -> SlotName:
    slots = set(hints.values())
    if len(slots) > 1:
        said = ", but ".join(f"{hint} says {slot}" for hint, slot in hints.items())
        raise SlotError(
            f"cannot tell which slot runs: {said}",
            hint="the boot script has to name the slot that it boots, and the configuration the slots' right devices",
        )
    if not slots:
        raise SlotError(
            f"cannot tell which slot runs: neither the kernel's arguments nor / point to {pair.a.device} "
            f"or {pair.b.device}",
            hint=f"let the boot script add {ARGUMENTS[0]}={pair.a.name} to the kernel's arguments",
        )
    return slots.pop()


def _named(pair: SlotPair, key: str, value: str, boot_names: Mapping[SlotName, str]) -> SlotName:
    for name in pair.names:
        if value in {name, boot_names.get(name, name)}:
            return name
    raise SlotError(
        f"cannot tell which slot runs: {key}={value} is neither {pair.a.name} nor {pair.b.name}",
        hint="correct the boot script or the slots' names in the configuration",
    )


def _arguments(cmdline: str) -> dict[str, str]:
    """Return the kernel's arguments that have values; the last of a name counts, and quotes hold blanks together."""
    arguments: dict[str, str] = {}
    word, quoted = "", False
    for letter in cmdline + " ":
        if letter == '"':
            quoted = not quoted
        elif letter.isspace() and not quoted:
            key, found, value = word.partition("=")
            if found:
                arguments[key] = value
            word = ""
        else:
            word += letter
    return arguments
