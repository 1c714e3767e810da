"""Entries of systemd-boot as pure values: their names and content, their order, and the table that they stand for.

See `systemdboot/__init__.py` for the rules.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bistable.client.boot.table import Table
from bistable.client.model import SlotName

SORT_KEY: Final = "bistable"
LARGEST: Final = 10**9
"""Versions and counters beyond this are none of ours."""

_NAME: Final = re.compile(
    r"bistable-(?P<slot>[A-Za-z0-9_]+)(?:\+(?P<left>[0-9]{1,9})(?:-(?P<done>[0-9]{1,9}))?)?\.conf", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One of our entries; `left` is None where nothing is counted."""

    slot: SlotName
    left: int | None
    version: int
    name: str

    @property
    def rank(self) -> tuple[bool, int]:
        """What systemd-boot sorts by."""
        return (self.left == 0, -self.version)


def entry_name(slot: SlotName, left: int | None) -> str:
    """Return the name of the file."""
    return f"bistable-{slot}.conf" if left is None else f"bistable-{slot}+{left}.conf"


def parse_entry(name: str, content: bytes) -> Entry | None:
    """Return what a file is, None if it is not one of our entries. One without a version is older than all others."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    version = 0
    for line in content.decode("utf-8", "replace").splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "version" and re.fullmatch(r"[0-9]{1,9}", value.strip()):
            version = int(value)
    left = found["left"]
    return Entry(
        slot=SlotName(found["slot"].lower()), left=None if left is None else int(left), version=version, name=name
    )


def render_entry(slot: SlotName, *, version: int, options: str, initrd: bool) -> bytes:
    """Return the content of an entry."""
    folder = f"/EFI/bistable/{slot}"
    lines = [f"title bistable {slot}", f"sort-key {SORT_KEY}", f"version {version}", f"linux {folder}/linux.efi"]
    lines += [f"initrd {folder}/initrd.img"] if initrd else []
    lines += [f"options {options}"]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Return our entries as systemd-boot sorts them."""
    return sorted(sorted(entries, key=lambda entry: entry.name, reverse=True), key=lambda entry: entry.rank)


def chosen(entries: Sequence[Entry]) -> Mapping[SlotName, Entry]:
    """Return one entry for each slot: of several, which a power cut in a renaming may leave, the most confident one."""
    found: dict[SlotName, Entry] = {}
    for entry in entries:
        other = found.get(entry.slot)
        if other is None or _confidence(entry) > _confidence(other):
            found[entry.slot] = entry
    return found


def table_of(entries: Sequence[Entry], names: tuple[SlotName, SlotName]) -> Table:
    """Return what the entries say of the slots, in the order of their versions: one on its last try has `+0`."""
    best = {slot: entry for slot, entry in chosen(entries).items() if slot in names}
    order = sorted(best, key=lambda slot: -best[slot].version)
    return Table(
        names=names,
        order=tuple(order),
        good=frozenset(slot for slot, entry in best.items() if entry.left is None),
        tries={name: (best[name].left or 0) if name in best else 0 for name in names},
    )


def _confidence(entry: Entry) -> tuple[bool, int, int]:
    return (entry.left is None, entry.version, entry.left or 0)
