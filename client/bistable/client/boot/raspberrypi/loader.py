"""The boot loader of a Raspberry Pi, as an update sees it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.client.boot.placing import probe_directory
from bistable.client.boot.ports import Booted, SlotStatus, check_known
from bistable.client.boot.raspberrypi.autoboot import (
    MOST,
    Autoboot,
    BadAutobootError,
    parse_autoboot,
    render_autoboot,
)
from bistable.client.boot.raspberrypi.files import AUTOBOOT, place_boot_files
from bistable.client.boot.raspberrypi.word import TRYBOOT, Word
from bistable.client.errors import BootError, ClientError
from bistable.client.files import read_limited, replacing
from bistable.client.model import SlotName

BOOTED_PARTITION: Final = Path("/proc/device-tree/chosen/bootloader/partition")
"""A number of 32 bits, big-endian. Raspberry Pi documentation, "Device tree"."""


class RaspberryPiBootloader:
    """`directory` is where the partition with autoboot.txt is mounted, `parts` are the numbers of boot partitions.

    `partitions` are those partitions' devices, and `firmware` the directory of a slot whose content belongs on its
    boot partition; `mounted` mounts one for writing.
    """

    def __init__(
        self,
        directory: Path,
        parts: Mapping[SlotName, int],
        *,
        partitions: Mapping[SlotName, Path],
        firmware: Path,
        word: Word,
        mounted: Callable[[Path], AbstractContextManager[Path]],
        booted: Booted | None = None,
        booted_partition: Path = BOOTED_PARTITION,
    ) -> None:
        self._path, self._parts, self._partitions = directory / AUTOBOOT, dict(parts), dict(partitions)
        a, b = parts
        self._names = (a, b)
        if parts[a] == parts[b]:
            raise BootError(f"cannot tell slots {a} and {b} apart: both boot from partition {parts[a]}")
        self._firmware, self._word, self._mounted = firmware, word, mounted
        self._booted, self._booted_partition = booted, booted_partition

    def primary(self) -> SlotName:
        """Return the slot that the next restart boots; after a power cut it is the one in `[all]` in any case."""
        found = self._read()
        return self._slot(found.trial if self._word.is_said() else found.default)

    def forbid(self, slot: SlotName) -> None:
        """Have no restart boot the slot."""
        found, other = self._read(), check_known(slot, self._names)
        if slot == self._running():
            raise BootError(f"cannot forbid slot {slot}: it is running")
        self._require_default(other, found, f"cannot forbid slot {slot}")
        self._word.take_back()
        self._write(found, default=other, trial=other)

    def activate(self, slot: SlotName) -> None:
        """Have the next restart try the slot."""
        found, other = self._read(), check_known(slot, self._names)
        self._require_default(other, found, f"cannot activate slot {slot}")
        self._write(found, default=other, trial=slot)
        self._word.say()

    def confirm(self, slot: SlotName) -> None:
        """Boot the running slot from now on."""
        found = self._read()
        check_known(slot, self._names)
        running = self._running()
        if running is not None and running != slot:
            raise BootError(f"cannot confirm slot {slot}: slot {running} is running")
        if self._parts[slot] not in {found.default, found.trial}:
            raise BootError(f"cannot confirm slot {slot}: it must not be booted", hint="install the update again")
        self._word.take_back()
        self._write(found, default=slot, trial=slot)

    def restore(self, slot: SlotName) -> None:
        """Boot this slot, and no other."""
        found = self._read()
        check_known(slot, self._names)
        if self._parts[slot] == found.trial != found.default:
            raise BootError(f"cannot go back to slot {slot}: it is on trial", hint=f"confirm slot {slot} instead")
        self._word.take_back()
        self._write(found, default=slot, trial=slot)

    def status(self, slot: SlotName) -> SlotStatus:
        """Return what the file says of the slot."""
        found = self._read()
        check_known(slot, self._names)
        if self._parts[slot] == found.default:
            return SlotStatus(bootable=True, good=True, tries_left=None)
        tried_next = self._parts[slot] == found.trial and self._word.is_said()
        return SlotStatus(bootable=tried_next, good=False, tries_left=int(tried_next))

    def reboot_argument(self) -> str | None:
        """Return the word, if a slot is to be tried."""
        return TRYBOOT if self._word.is_said() else None

    def place(self, slot: SlotName, root: Path) -> None:
        """Copy the boot files of the new system onto the boot partition of its slot."""
        check_known(slot, self._names)
        place_boot_files(root, self._firmware, self._partitions[slot], mounted=self._mounted)

    def probe(self) -> None:
        """Write a file that means nothing beside autoboot.txt."""
        probe_directory(self._path.parent)

    def check_canary(self) -> None:
        """Raise BootError unless the firmware booted from the boot partition of the running slot."""
        running = self._running()
        try:
            found = int.from_bytes(read_limited(self._booted_partition, 4), "big")
        except (OSError, ClientError) as e:
            raise BootError(
                "cannot tell from which partition the firmware booted: it does not say so in the device tree",
                hint="update the firmware (rpi-eeprom-update, or start.elf): this one may not know tryboot either",
            ) from e
        if running is not None and found != self._parts[running]:
            raise BootError(
                f"cannot rely on {self._path}: slot {running} runs, whose boot partition is {self._parts[running]}, "
                f"but the firmware booted from partition {found}",
                hint="correct boot.part-numbers and boot.directory, or cmdline.txt on the boot partitions",
            )

    def faults(self) -> tuple[str, ...]:
        """Return what is odd about the file although it works."""
        found, data = self._read(), self._bytes()
        if found.default != found.trial and b"tryboot_a_b=1" not in data.replace(b" ", b""):
            return (f"{self._path} has no tryboot_a_b=1: a trial would load tryboot.txt instead of config.txt",)
        return ()

    def _running(self) -> SlotName | None:
        return self._booted() if self._booted is not None else None

    def _slot(self, number: int) -> SlotName:
        for slot, part in self._parts.items():
            if part == number:
                return slot
        known = " nor ".join(f"{part} (slot {slot})" for slot, part in self._parts.items())
        raise BootError(
            f"cannot understand {self._path}: it boots partition {number}, neither {known}",
            hint="correct boot.part-numbers in the configuration",
        )

    def _require_default(self, slot: SlotName, found: Autoboot, what: str) -> None:
        if self._slot(found.default) != slot:
            raise BootError(
                f"{what}: slot {slot} is not known to be good, and there would be nothing to fall back to",
                hint="commit or roll back the update that is under way first",
            )

    def _bytes(self) -> bytes:
        try:
            return read_limited(self._path, MOST)
        except (OSError, ClientError) as e:
            raise BootError(
                f"cannot read {self._path}: {getattr(e, 'strerror', None) or e}",
                hint="mount the first FAT partition, and set boot.directory if that is elsewhere",
            ) from e

    def _read(self) -> Autoboot:
        try:
            found = parse_autoboot(self._bytes())
        except BadAutobootError as e:
            raise BootError(f"cannot understand {self._path}: {e}") from e
        self._slot(found.default)
        return found

    def _write(self, found: Autoboot, *, default: SlotName, trial: SlotName) -> None:
        changed = replace(found, default=self._parts[default], trial=self._parts[trial])
        try:
            data = render_autoboot(changed)
            if data == self._bytes():
                return
            with replacing(self._path) as file:
                file.write(data)
        except (BadAutobootError, MachineError) as e:
            raise BootError(
                f"cannot change {self._path}: {e}", hint="check that its partition is mounted for writing and not full"
            ) from e
