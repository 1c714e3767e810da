"""What would boot where files on the boot partition say it: systemd-boot, and the firmware of a Raspberry Pi."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError
from bistable.artifact.image.debugfs import open_path
from bistable.client.boot.raspberrypi.autoboot import BadAutobootError, parse_autoboot
from bistable.client.boot.systemdboot.entries import Entry, in_order, parse_entry
from bistable.tools.boot.plan import BootPlan, Loader
from bistable.tools.disk.fat import list_fat, read_fat
from bistable.tools.disk.inspect.findings import Findings
from bistable.tools.disk.partitions import Found

AUTOBOOT: Final = "autoboot.txt"
ENTRIES: Final = "loader/entries"
_LIMIT: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The slots in the order in which they are tried, and why."""

    order: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


def choice_by_files(disk: BinaryIO, boot: Found, plan: BootPlan, findings: Findings) -> Choice:
    """Return what the files on the boot partition choose."""
    reader = READERS.get(plan.loader)
    if reader is None:
        findings.note(f"what {plan.loader.value} would boot is not told: the firmware keeps that in its own memory")
        return Choice()
    try:
        return reader(disk, boot, plan, findings)
    except MachineError as e:
        findings.error(e.what, hint=e.hint)
        return Choice()


def _autoboot(disk: BinaryIO, boot: Found, plan: BootPlan, findings: Findings) -> Choice:
    content = read_fat(Path(open_path(disk)), boot.start, AUTOBOOT, limit=_LIMIT)
    if content is None:
        findings.error(f"{AUTOBOOT} on the boot partition cannot be used: it is not there")
        return Choice()
    try:
        named = parse_autoboot(content).default
    except BadAutobootError as e:
        findings.error(f"{AUTOBOOT} on the boot partition cannot be used: {e}")
        return Choice()
    slot = next((place.name for place in plan.slots if place.partition == named), None)
    if slot is None:
        findings.error(f"{AUTOBOOT} names partition {named}, which is the boot partition of no slot")
        return Choice()
    return Choice(order=(slot,), why=(f"{AUTOBOOT} names partition {named}, the boot partition of slot {slot}",))


def _entries(disk: BinaryIO, boot: Found, plan: BootPlan, findings: Findings) -> Choice:
    path = Path(open_path(disk))
    found: list[Entry] = []
    for name in list_fat(path, boot.start, ENTRIES):
        entry = parse_entry(name, read_fat(path, boot.start, f"{ENTRIES}/{name}", limit=_LIMIT) or b"")
        if entry is not None and entry.slot in {place.name for place in plan.slots}:
            found.append(entry)
    if not found:
        findings.error(f"there is no entry of ours in {ENTRIES} on the boot partition")
    ordered = in_order(found)
    return Choice(
        order=tuple(dict.fromkeys(entry.slot for entry in ordered)), why=tuple(map(_said, enumerate(ordered)))
    )


def _said(place: tuple[int, Entry]) -> str:
    number, entry = place
    counted = "it is not counted" if entry.left is None else f"it has {entry.left} tries left"
    return f"{entry.name} is {'the first entry' if number == 0 else 'tried after that'}; {counted}"


READERS: Final[Mapping[Loader, Callable[[BinaryIO, Found, BootPlan, Findings], Choice]]] = {
    Loader.RASPBERRY_PI: _autoboot,
    Loader.SYSTEMD_BOOT: _entries,
}
