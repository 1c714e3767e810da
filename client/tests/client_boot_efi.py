"""Devices whose slots are chosen by UEFI, modelled from its documentation."""

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

from client_boot import RESETS, A, B, Device
from client_boot_firmware import MemoryVariables

from bistable.client.boot.efi.entry import Partition
from bistable.client.boot.efi.loader import EfiBootloader
from bistable.client.boot.efi.options import parse_numbers
from bistable.client.boot.placing import Kernel
from bistable.client.model import SlotName


def load_option(description: str, *, active: bool = True, arguments: str = "") -> bytes:
    """Return a load option with a device path that consists of its end."""
    path, text = b"\x7f\xff\x04\x00", f"{description}\0".encode("utf-16-le")
    return struct.pack("<IH", int(active), len(path)) + text + path + arguments.encode("utf-16-le")


class EfiFirmware:
    """What the firmware does, by the UEFI specification, section 3: BootNext once, then BootOrder."""

    def __init__(self, variables: MemoryVariables, loads: Callable[[int], bool]) -> None:
        self.variables, self.loads = variables, loads

    def start(self) -> int | None:
        """Return the entry that was started; None if none can be loaded."""
        values = self.variables.values
        following = values.pop("BootNext", b"")
        order = following + values.get("BootOrder", b"")
        for place, number in enumerate(struct.unpack(f"<{len(order) // 2}H", order)):
            option = values.get(f"Boot{number:04X}", bytes(4))
            active = option[0] & 1 or (place == 0 and following)
            if active and self.loads(number):
                values["BootCurrent"] = struct.pack("<H", number)
                return int(number)
        return None

    def find_disk(self) -> int:
        """Make an entry for a new disk, under the first number that is not in BootOrder, as OVMF does."""
        order = self.variables.values.get("BootOrder", b"")
        taken = struct.unpack(f"<{len(order) // 2}H", order)
        number = next(number for number in range(1, 99) if number not in taken)
        self.variables.values[f"Boot{number:04X}"] = load_option("UEFI Misc Device")
        self.variables.values["BootOrder"] = order + struct.pack("<H", number)
        return number


class EfiDevice(Device):
    """A device with UEFI, and the entries 0003 (a shell), 0001 (slot a) and 0002 (slot b)."""

    tries = 1
    PARTITION = Partition(number=1, start=2048, size=131072, guid=UUID("11111111-2222-3333-4444-555555555555"))

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.esp, self.variables = folder / "esp", MemoryVariables()
        for slot in "ab":
            (self.esp / "EFI/bistable" / slot).mkdir(parents=True)
            options = f"root=PARTLABEL=rootfs-{slot} bistable.slot={slot} quiet\n"
            (self.esp / "EFI/bistable" / slot / "options").write_text(options)
        for number, name in ((1, "Bistable A"), (2, "bistable b"), (3, "UEFI Shell")):
            self.variables.set(f"Boot{number:04X}", load_option(name, arguments="root=/dev/x"))
        self.variables.set("Boot0004", b"\xff")
        self.variables.set("Boot0002", load_option("bistable b", active=False, arguments="root=/dev/x"))
        self.variables.set("BootOrder", struct.pack("<3H", 1, 2, 3))
        self.firmware = EfiFirmware(self.variables, lambda number: number != 3)
        self.power_on()

    @property
    def loader(self) -> EfiBootloader:
        return self.loader_with({})

    def loader_with(self, numbers: Mapping[SlotName, int]) -> EfiBootloader:
        return EfiBootloader(
            self.esp,
            self.variables,
            (A, B),
            kernel=Kernel(image=Path("/boot/vmlinuz"), initrd=Path("/boot/initrd.img")),
            numbers=numbers,
            partition=lambda: self.PARTITION,
            booted=self.booted,
        )

    def memory(self) -> bytes:
        return repr(sorted(self.variables.values.items())).encode()

    def _boot(self) -> SlotName | None:
        for _ in range(RESETS):
            number = self.firmware.start()
            slot = {1: A, 2: B}.get(number or 0)
            if slot is None or self.comes_up(slot):
                return slot
        return None


def install(device: EfiDevice) -> None:
    device.loader.forbid(B)
    device.loader.activate(B)


def order(device: EfiDevice) -> tuple[int, ...]:
    return parse_numbers(device.variables.values["BootOrder"])
