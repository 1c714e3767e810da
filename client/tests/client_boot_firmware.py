"""Devices whose slots are chosen by a Raspberry Pi or systemd-boot, modelled from documentation; UEFI's variables."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from client_boot import RESETS, A, B, Device

from bistable.client.boot.placing import Kernel
from bistable.client.boot.raspberrypi.loader import RaspberryPiBootloader
from bistable.client.boot.raspberrypi.word import Word
from bistable.client.boot.systemdboot.loader import DirectoryEntries, EntryFiles, SystemdBootloader
from bistable.client.errors import BootError
from bistable.client.model import SlotName


class RaspberryFirmware:
    """What the firmware does after a reset, by its documentation; `card` has a directory for each FAT partition."""

    def __init__(self, card: Path) -> None:
        self.card = card
        self.attempts: list[int] = []

    def start(self, argument: str | None) -> int | None:
        """Boot with what the restart handed over, and return the partition; None if nothing can be booted."""
        partition, _, word = (argument or "0").partition(" ")
        tryboot = word == "tryboot"
        # The word is forgotten here, before anything of the system is loaded.
        number = int(partition) or self._autoboot(tryboot=tryboot) or 1
        name = "config.txt" if not tryboot or self._a_b() else "tryboot.txt"
        self.attempts.append(number)
        return number if (self.card / str(number) / name).is_file() else None

    def _autoboot(self, *, tryboot: bool) -> int | None:
        wanted = None
        for section, key, value in self._lines():
            if key == "boot_partition" and (section == "all" or (section == "tryboot" and tryboot)):
                wanted = int(value)
        return wanted

    def _a_b(self) -> bool:
        return ("all", "tryboot_a_b", "1") in self._lines()

    def _lines(self) -> list[tuple[str, str, str]]:
        section, found = "all", []
        path = self.card / "1/autoboot.txt"
        for line in path.read_bytes()[:512].decode().splitlines() if path.exists() else []:
            if line.startswith("["):
                section = line.strip("[]")
            elif "=" in line and not line.startswith("#"):
                key, value = line.split("=", 1)
                found.append((section, key, value))
        return found


class RaspberryDevice(Device):
    """A Raspberry Pi with autoboot.txt on partition 1 and slots a and b that boot from partitions 2 and 3."""

    tries = 1
    AUTOBOOT = b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=2\n"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.card, self.run = folder / "card", folder / "run/reboot-argument"
        for number in (1, 2, 3):
            (self.card / str(number)).mkdir(parents=True)
            (self.card / str(number) / "config.txt").write_text("arm_64bit=1\n")
        for number, slot in ((2, "a"), (3, "b")):
            words = f"console=tty1 root=PARTUUID=ab-0{number + 3} bistable.slot={slot} rootwait\n"
            (self.card / str(number) / "cmdline.txt").write_text(words)
        (self.card / "1/autoboot.txt").write_bytes(self.AUTOBOOT)
        self.partition = folder / "partition"
        self.firmware = RaspberryFirmware(self.card)
        self.power_on()

    @property
    def loader(self) -> RaspberryPiBootloader:
        return RaspberryPiBootloader(
            self.card / "1",
            {A: 2, B: 3},
            partitions={A: self.card / "2", B: self.card / "3"},
            firmware=Path("/boot/firmware"),
            word=Word(self.run),
            mounted=self.mounted,
            booted=self.booted,
            booted_partition=self.partition,
        )

    @contextmanager
    def mounted(self, device: Path) -> Iterator[Path]:
        yield device

    def memory(self) -> bytes:
        return (self.card / "1/autoboot.txt").read_bytes() + (self.run.read_bytes() if self.run.exists() else b"")

    def cut_power(self) -> SlotName | None:
        """Boot after a reset that hands nothing over."""
        self.run.unlink(missing_ok=True)
        return self.power_on()

    def _boot(self) -> SlotName | None:
        argument = self.run.read_text() if self.run.exists() else None
        for _ in range(RESETS):
            self.run.unlink(missing_ok=True)
            number = self.firmware.start(argument)
            slot = {2: A, 3: B, None: None}[number]
            if slot is not None and number is not None and self.comes_up(slot):
                self.partition.write_bytes(number.to_bytes(4, "big"))
                return slot
            argument = None
        return None


class SystemdBoot:
    """What systemd-boot does, by its documentation, its sources and version 252; `partition` is the boot partition."""

    def __init__(self, partition: Path) -> None:
        self.folder = partition / "loader/entries"
        self.attempts: list[str] = []

    def start(self) -> tuple[str, Path] | None:
        """Count, and return the name of the entry without its counter and the kernel; None if there is no entry."""
        entries = sorted(self._entries(), key=lambda entry: entry[:4])
        if not entries:
            return None
        name, left, done = entries[0][4:]
        plain = re.sub(r"\+[0-9-]+\.conf$", ".conf", name)
        path = self.folder / name
        if left is not None:
            counted = f"{plain.removesuffix('.conf')}+{max(left - 1, 0)}-{done + 1}.conf"
            path = path.rename(self.folder / counted)
        self.attempts.append(path.name)
        lines = dict(line.split(" ", 1) for line in path.read_text().splitlines())
        return plain, self._kernel(lines)

    def _entries(self) -> Iterator[tuple[bool, str, int, str, str, int | None, int]]:
        for path in self.folder.iterdir():
            if path.name.startswith(".") or path.suffix != ".conf":
                continue
            lines = dict(line.split(" ", 1) for line in path.read_text().splitlines())
            if not self._kernel(lines).is_file():
                continue
            counter = re.search(r"\+([0-9]+)(?:-([0-9]+))?\.conf$", path.name)
            left, done = (None, 0) if counter is None else (int(counter[1]), int(counter[2] or 0))
            backwards = "".join(chr(0x10FFFF - ord(letter)) for letter in path.name)
            yield left == 0, lines["sort-key"], -int(lines["version"]), backwards, path.name, left, done

    def _kernel(self, lines: Mapping[str, str]) -> Path:
        return self.folder.parents[1] / lines["linux"].lstrip("/")


class SystemdBootDevice(Device):
    """A device with systemd-boot, whose boot partition is a directory."""

    tries = 3

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.esp, self.variables = folder / "esp", MemoryVariables()
        self.entries = self.esp / "loader/entries"
        self.entries.mkdir(parents=True)
        for slot in "ab":
            own = self.esp / "EFI/bistable" / slot
            own.mkdir(parents=True)
            (own / "options").write_text(f"root=PARTLABEL=rootfs-{slot} bistable.slot={slot} quiet\n")
            (own / "linux.efi").write_bytes(b"kernel")
        (self.entries / "bistable-a.conf").write_text(
            "title bistable a\nsort-key bistable\nversion 1\nlinux /EFI/bistable/a/linux.efi\n"
            "options root=PARTLABEL=rootfs-a bistable.slot=a quiet\n"
        )
        self.systemd_boot = SystemdBoot(self.esp)
        self.power_on()

    @property
    def loader(self) -> SystemdBootloader:
        return self.loader_with(DirectoryEntries(self.entries))

    def loader_with(self, files: EntryFiles) -> SystemdBootloader:
        return SystemdBootloader(
            self.esp,
            files,
            (A, B),
            tries=3,
            kernel=Kernel(image=Path("/boot/vmlinuz")),
            variables=self.variables,
            booted=self.booted,
        )

    def memory(self) -> bytes:
        return b"".join(path.name.encode() + path.read_bytes() for path in sorted(self.entries.iterdir()))

    def _boot(self) -> SlotName | None:
        for _ in range(RESETS):
            found = self.systemd_boot.start()
            if found is None:
                return None
            name, kernel = found
            slot = kernel.parent.name
            if self.comes_up(slot):
                self.variables.set("LoaderEntrySelected", f"{name}\0".encode("utf-16-le"))
                return SlotName(slot)
        return None


class MemoryVariables:
    """Variables of a firmware, whatever their vendor, whose changes can be cut off."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.changes: list[str] = []
        self.last: int | None = None
        """How many changes there may be before the power goes."""

    def set(self, name: str, data: bytes) -> None:
        self.values[name] = data

    def names(self, vendor: str) -> list[str]:
        return sorted(self.values)

    def read(self, name: str, vendor: str) -> bytes | None:
        return self.values.get(name)

    def write(self, name: str, vendor: str, data: bytes) -> None:
        self._change(name)
        self.values[name] = data

    def remove(self, name: str, vendor: str) -> None:
        self._change(f"no {name}")
        self.values.pop(name, None)

    def text(self, name: str, vendor: str) -> str | None:
        data = self.values.get(name)
        return None if data is None else data.decode("utf-16-le").rstrip("\0")

    def _change(self, what: str) -> None:
        if self.last is not None and len(self.changes) >= self.last:
            raise BootError("the power went")
        self.changes.append(what)
