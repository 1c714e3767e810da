"""UEFI firmware, as an update sees it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bistable.client.boot.efi.efivars import GLOBAL, Variables
from bistable.client.boot.efi.entry import Partition, description, render_option
from bistable.client.boot.efi.options import (
    NAME,
    BadOptionError,
    LoadOption,
    parse_numbers,
    parse_option,
    render_numbers,
    with_active,
)
from bistable.client.boot.placing import Kernel, kernel_files, place_files, remove_file, slot_arguments
from bistable.client.boot.ports import Booted, SlotStatus, check_known
from bistable.client.errors import BootError
from bistable.client.model import SlotName

ORDER: Final = "BootOrder"
NEXT: Final = "BootNext"
CURRENT: Final = "BootCurrent"
PROBE: Final = "BistableProbe"
OWN: Final = "5dfd38a5-9a3c-4d1f-8c35-2b7f4a1c6e90"
"""Vendor of our own variables; a number like any other."""


class EfiBootloader:
    """`directory` is the mounted boot partition, and `partition` says which one that is.

    `numbers` are the slots' entries, where they are not found by their descriptions.
    """

    def __init__(
        self,
        directory: Path,
        variables: Variables,
        names: tuple[SlotName, SlotName],
        *,
        kernel: Kernel,
        numbers: Mapping[SlotName, int],
        partition: Callable[[], Partition],
        booted: Booted | None = None,
    ) -> None:
        self._directory, self._variables, self._names, self._kernel = directory, variables, names, kernel
        self._numbers, self._partition = dict(numbers), partition
        self._booted = booted

    def primary(self) -> SlotName:
        """Return the slot that the next boot tries first."""
        entries, running = self._entries(), self._running()
        if not entries and running is not None:
            # What the firmware takes without an entry, from EFI/BOOT, is what it took this time.
            return running
        following = [slot for slot, number in entries.items() if (number,) == self._list(NEXT)]
        for slot in (*following, *self._order(entries)):
            if slot in following or self._is_active(entries[slot]):
                return slot
        raise BootError(
            "cannot tell what the next boot tries: neither BootNext nor BootOrder names an active entry of a slot",
            hint="confirm the slot that runs; `efibootmgr` shows the entries",
        )

    def forbid(self, slot: SlotName) -> None:
        """Have the firmware not start the slot's entry."""
        entries, other = self._complete(), check_known(slot, self._names)
        if slot == self._running():
            raise BootError(f"cannot forbid slot {slot}: it is running")
        self._require_good(other, entries, f"cannot forbid slot {slot}")
        self._clear_next(entries)
        self._set_active(entries[slot], active=False)
        # What the firmware starts if it has forgotten its entries knows nothing of active ones.
        remove_file(self._folder(slot) / "linux.efi")

    def activate(self, slot: SlotName) -> None:
        """Have the firmware start the slot's entry once."""
        entries, other = self._complete(), check_known(slot, self._names)
        self._require_good(other, entries, f"cannot activate slot {slot}")
        self._set_active(entries[slot], active=True)
        self._set_order(entries[other], entries[slot])
        self._set(NEXT, (entries[slot],))

    def confirm(self, slot: SlotName) -> None:
        """Put the running slot's entry first in BootOrder."""
        entries, other = self._complete(), check_known(slot, self._names)
        self._require_allowed(slot, entries, f"cannot confirm slot {slot}")
        self._set_order(entries[slot], entries[other])
        self._clear_next(entries)

    def restore(self, slot: SlotName) -> None:
        """Have the firmware start this slot, and not the other one."""
        entries, other = self._complete(), check_known(slot, self._names)
        tried = self._list(NEXT) == (entries[slot],) or slot == self._running()
        if tried and self._is_good(other, entries):
            raise BootError(f"cannot go back to slot {slot}: it is on trial", hint=f"confirm slot {slot} instead")
        self._set_active(entries[slot], active=True)
        self._clear_next(entries)
        self._set_order(entries[slot], entries[other])
        self._set_active(entries[other], active=False)

    def rearm(self, slot: SlotName) -> None:
        """Have the firmware start the running trial once more."""
        entries = self._complete()
        check_known(slot, self._names)
        self._require_allowed(slot, entries, f"cannot give slot {slot} its tries again")
        if not self._is_good(slot, entries):
            self._set(NEXT, (entries[slot],))

    def status(self, slot: SlotName) -> SlotStatus:
        """Return what the variables say of the slot."""
        entries = self._entries()
        check_known(slot, self._names)
        if slot not in entries:
            return SlotStatus(bootable=False, good=False, tries_left=0)
        good, tried_next = self._is_good(slot, entries), self._list(NEXT) == (entries[slot],)
        bootable = tried_next or (slot in self._order(entries) and self._is_active(entries[slot]))
        return SlotStatus(bootable=bootable, good=good, tries_left=None if good else int(tried_next))

    def place(self, slot: SlotName, root: Path) -> None:
        """Copy kernel and initial RAM disk of the new system to where the slot's entry has them."""
        check_known(slot, self._names)
        place_files(kernel_files(root, self._kernel), self._folder(slot))

    def probe(self) -> None:
        """Set a variable that no firmware knows, and remove it."""
        self._variables.write(PROBE, OWN, b"1")
        self._variables.remove(PROBE, OWN)

    def check_canary(self) -> None:
        """Raise BootError if there is no entry of the running slot, or the firmware started the other one's."""
        entries, running, found = self._entries(), self._running(), self._list(CURRENT)
        if running is not None and running not in entries:
            raise BootError(
                f"cannot rely on the firmware's entries: it has none for slot {running}, which runs",
                hint="`bistablectl recover` makes it, as the service does when it starts; then reboot once",
            )
        others = [number for slot, number in entries.items() if slot != running]
        if running is not None and found and found[0] in others:
            raise BootError(
                f"cannot rely on the firmware's entries: slot {running} runs, with Boot{entries[running]:04X}, but the "
                f"firmware says that it started Boot{found[0]:04X}, that of the other slot",
                hint="correct the kernel's arguments in the entries, or set boot.efi-entries to the right numbers",
            )

    def faults(self) -> tuple[str, ...]:
        """Return what may start another system than a slot, or none."""
        entries, order = self._entries(), self._list(ORDER)
        found = [f"there is no entry of slot {slot}" for slot in self._names if slot not in entries]
        current = self._list(CURRENT)
        if entries and current and current[0] not in entries.values():
            found.append(
                f"the firmware started this system by Boot{current[0]:04X}, which is no slot's: if it does so again, "
                "it ignores BootOrder"
            )
        if order and order[0] not in entries.values():
            found.append(f"BootOrder begins with Boot{order[0]:04X}, which is no slot: the firmware starts that first")
        for slot, number in entries.items():
            if self._option(number) is None:
                found.append(f"Boot{number:04X}, the entry of slot {slot}, is missing")
            elif number not in order:
                found.append(
                    f"Boot{number:04X}, the entry of slot {slot}, is not in BootOrder: the firmware may give its "
                    "number to another"
                )
        return tuple(found)

    # --- variables

    def _running(self) -> SlotName | None:
        return self._booted() if self._booted is not None else None

    def _require_allowed(self, slot: SlotName, entries: Mapping[SlotName, int], what: str) -> None:
        running = self._running()
        if running is not None and running != slot:
            raise BootError(f"{what}: slot {running} is running")
        if not self._is_active(entries[slot]):
            raise BootError(f"{what}: it must not be booted", hint="install the update again")

    def _order(self, entries: Mapping[SlotName, int]) -> list[SlotName]:
        """Return the slots in BootOrder."""
        slots = {number: slot for slot, number in entries.items()}
        return [slots[number] for number in self._list(ORDER) if number in slots]

    def _is_good(self, slot: SlotName, entries: Mapping[SlotName, int]) -> bool:
        return self._order(entries)[:1] == [slot] and self._is_active(entries[slot])

    def _is_active(self, number: int) -> bool:
        option = self._option(number)
        return option is not None and option.active

    def _require_good(self, slot: SlotName, entries: Mapping[SlotName, int], what: str) -> None:
        if not self._is_good(slot, entries):
            raise BootError(
                f"{what}: slot {slot} is not known to be good, and there would be nothing to fall back to",
                hint=f"if slot {slot} runs and is sound, confirm it first",
            )

    def _entries(self) -> dict[SlotName, int]:
        """Return the number of each slot's entry, as far as there are entries."""
        if self._numbers:
            return self._numbers
        found: dict[SlotName, int] = {}
        for name in self._variables.names(GLOBAL):
            matched = NAME.fullmatch(name)
            option = None if matched is None else self._option(int(matched[1], 16))
            for slot in self._names:
                if matched is None or option is None or option.description.lower() != description(slot):
                    continue
                if slot in found:
                    raise BootError(
                        f"cannot find the firmware's entry of slot {slot}: {name} and Boot{found[slot]:04X} are both "
                        f"called {description(slot)!r}",
                        hint="remove one with efibootmgr, or set boot.efi-entries to the right numbers",
                    )
                found[slot] = int(matched[1], 16)
        return found

    def _complete(self) -> dict[SlotName, int]:
        """Return the number of each slot's entry, and make those that are missing.

        The running slot's becomes the first one: by what the firmware had until now it was started, too. The other
        one's must not be booted until something is installed.
        """
        entries, running = dict(self._entries()), self._running()
        for slot in [slot for slot in self._names if slot not in entries]:
            number = self._free_number()
            option = render_option(slot, self._partition(), self._arguments(slot), active=slot == running)
            self._variables.write(f"Boot{number:04X}", GLOBAL, option)
            entries[slot] = number
            order = [other for other in self._list(ORDER) if other not in entries.values()]
            known = sorted(entries, key=lambda one: one != running)
            self._set(ORDER, (*(entries[one] for one in known), *order))
        return entries

    def _folder(self, slot: SlotName) -> Path:
        return self._directory / "EFI/bistable" / slot

    def _free_number(self) -> int:
        taken = {*self._list(ORDER), *self._list(CURRENT), *self._list(NEXT)}
        taken |= {int(found[1], 16) for found in map(NAME.fullmatch, self._variables.names(GLOBAL)) if found}
        return next(number for number in range(0x10000) if number not in taken)

    def _arguments(self, slot: SlotName) -> str:
        arguments = slot_arguments(self._folder(slot) / "options", slot)
        initrd = "" if self._kernel.initrd is None else f" initrd=\\EFI\\bistable\\{slot}\\initrd.img"
        return f"{arguments}{initrd}"

    def _option(self, number: int) -> LoadOption | None:
        data = self._variables.read(f"Boot{number:04X}", GLOBAL)
        try:
            return None if data is None else parse_option(data)
        except BadOptionError:
            # Somebody else's; the firmware passes over it, too.
            return None

    def _list(self, name: str) -> tuple[int, ...]:
        data = self._variables.read(name, GLOBAL)
        try:
            return () if data is None else parse_numbers(data)
        except BadOptionError as e:
            raise BootError(f"cannot understand the firmware's variable {name}: {e}") from e

    def _set(self, name: str, numbers: tuple[int, ...]) -> None:
        if self._list(name) != numbers:
            self._variables.write(name, GLOBAL, render_numbers(numbers))

    def _clear_next(self, entries: Mapping[SlotName, int]) -> None:
        """Remove BootNext, if it names a slot; somebody who wants the setup next is not our business."""
        if set(self._list(NEXT)) & set(entries.values()):
            self._variables.remove(NEXT, GLOBAL)

    def _set_order(self, first: int, second: int) -> None:
        """Put both entries before all others."""
        rest = [other for other in self._list(ORDER) if other not in {first, second}]
        self._set(ORDER, (first, second, *dict.fromkeys(rest)))

    def _set_active(self, number: int, *, active: bool) -> None:
        name = f"Boot{number:04X}"
        data = self._variables.read(name, GLOBAL)
        try:
            wanted = None if data is None else with_active(data, active=active)
        except BadOptionError as e:
            raise BootError(f"cannot understand the firmware's variable {name}: {e}") from e
        if wanted is None:
            raise BootError(
                f"cannot change the firmware's variable {name}: it does not exist",
                hint="make the entry again with efibootmgr",
            )
        if wanted != data:
            self._variables.write(name, GLOBAL, wanted)
