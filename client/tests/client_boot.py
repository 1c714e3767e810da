"""Devices for tests of boot loaders: environments in files, models of boot scripts, and power that fails.

A boot script is modelled from its description (the docstrings of boot/uboot), not with our own code.
"""

import hashlib
import os
import re
import signal
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from uuid import UUID

from bistable.client.boot import Bootloader, BootSettings, make_bootloader
from bistable.client.boot.efi.entry import Partition
from bistable.client.boot.efi.loader import EfiBootloader
from bistable.client.boot.placing import Kernel
from bistable.client.boot.raspberrypi.loader import RaspberryPiBootloader
from bistable.client.boot.raspberrypi.word import Word
from bistable.client.boot.simulated import SimulatedSystem, create, read_device
from bistable.client.boot.systemdboot.loader import DirectoryEntries, EntryFiles, SystemdBootloader
from bistable.client.errors import BootError
from bistable.client.model import SlotName
from bistable.client.slots import Slot, SlotPair

A, B = SlotName("a"), SlotName("b")
PAIR = SlotPair(a=Slot(name=A, device=Path("/dev/mmcblk0p2")), b=Slot(name=B, device=Path("/dev/mmcblk0p10")))
COPY = 0x1000
RESETS = 40
"""After so many resets in a row a device will not come up any more."""

SLOTS_FACTORY = {
    "bistable_order": "a",
    "bistable_a_good": "1",
    "bistable_a_tries": "0",
    "bistable_b_good": "0",
    "bistable_b_tries": "0",
}
MENDER_FACTORY = {
    "mender_boot_part": "2",
    "mender_boot_part_hex": "2",
    "upgrade_available": "0",
    "bootcount": "0",
    "bootlimit": "1",
    "mender_check_saveenv_canary": "1",
}


class Store(Protocol):
    """Where a boot script keeps its variables."""

    def load(self) -> dict[str, str]: ...

    def save(self, variables: Mapping[str, str]) -> None: ...


class MemoryStore:
    """Variables in memory, for the script and for our code alike."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)

    def load(self) -> dict[str, str]:
        return dict(self.variables)

    def save(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)

    def read(self) -> Mapping[str, str]:
        return dict(self.variables)

    def write(self, values: Mapping[str, str]) -> None:
        self.variables |= values

    def probe(self) -> None:
        self.variables["probed"] = "1"

    def faults(self) -> tuple[str, ...]:
        return ()

    @property
    def where(self) -> str:
        return "the memory"


class EnvironmentFile:
    """U-Boot's redundant environment: two copies of CRC32, counter and variables; the newer valid one counts."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.path = folder / "uboot.env"
        self.config = folder / "fw_env.config"
        self.config.write_text(f"{self.path} 0x0 {COPY:#x}\n{self.path} {COPY:#x} {COPY:#x}\n")
        self.path.write_bytes(encode(variables, 1) + encode(variables, 0))

    def copies(self) -> list[tuple[int, dict[str, str]] | None]:
        content = self.path.read_bytes()
        return [decode(content[:COPY]), decode(content[COPY:])]

    def newest(self) -> int | None:
        first, second = self.copies()
        if first is None or second is None:
            return None if first is second else int(first is None)
        return int((second[0] - first[0]) % 256 == 1)

    def load(self) -> dict[str, str]:
        newest = self.newest()
        found = None if newest is None else self.copies()[newest]
        return {} if found is None else found[1]

    def save(self, variables: Mapping[str, str]) -> None:
        newest = self.newest()
        found = None if newest is None else self.copies()[newest]
        self._put(0 if newest is None else 1 - newest, encode(variables, (found[0] + 1) % 256 if found else 1))

    def tear(self) -> None:
        """Leave the newer copy half written, as a power cut within the write would."""
        newest = self.newest()
        assert newest is not None
        self._put(newest, os.urandom(COPY // 2))

    def destroy(self) -> None:
        self.path.write_bytes(b"\xff" * 2 * COPY)

    def _put(self, number: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(number * COPY)
            file.write(data)


GRUB_HEADER = b"# GRUB Environment Block\n"
GRUB_BLOCK = 1024
GRUB_OFFSETS = (0, 65536)


def grub_block(variables: Mapping[str, str]) -> bytes:
    """Return a GRUB environment block."""
    return (GRUB_HEADER + "".join(f"{name}={value}\n" for name, value in variables.items()).encode()).ljust(
        GRUB_BLOCK, b"#"
    )


def grub_variables(block: bytes) -> dict[str, str] | None:
    """Return the variables of a GRUB environment block as GRUB sees them, None if it has no header."""
    if not block.startswith(GRUB_HEADER):
        return None
    lines = block[len(GRUB_HEADER) :].decode("latin-1").split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


class GrubFile:
    """The partition with two environment blocks, as the boot script for GRUB sees it."""

    NAMES = ("order", "a_good", "a_tries", "b_good", "b_tries", "seen")

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.path = folder / "boot-env"
        content = bytearray(2 * GRUB_OFFSETS[1])
        for number, offset in enumerate(GRUB_OFFSETS):
            content[offset : offset + GRUB_BLOCK] = self.block(number, variables)
        self.path.write_bytes(content)

    def block(self, sequence: int, variables: Mapping[str, str]) -> bytes:
        values = {"bistable_seq": str(sequence)}
        values |= {f"bistable_{name}": variables.get(f"bistable_{name}") or "0" for name in self.NAMES}
        return grub_block({**values, "bistable_end": "1"})

    def copies(self) -> list[dict[str, str] | None]:
        content = self.path.read_bytes()
        return [self._valid(grub_variables(content[offset : offset + GRUB_BLOCK])) for offset in GRUB_OFFSETS]

    def newest(self) -> int | None:
        first, second = self.copies()
        if first is None or second is None:
            return None if first is second else int(first is None)
        return int((int(second["bistable_seq"]) - int(first["bistable_seq"])) % 10 == 1)

    def load(self) -> dict[str, str]:
        newest = self.newest()
        return {} if newest is None else dict(self.copies()[newest] or {})

    def save(self, variables: Mapping[str, str]) -> None:
        newest = self.newest()
        content = self.path.read_bytes()
        headers = [content[offset:].startswith(GRUB_HEADER) for offset in GRUB_OFFSETS]
        place = 0 if newest is None else 1 - newest
        if not headers[place]:
            place = 1 - place
        if headers[place]:
            sequence = 0 if newest is None else (int(variables["bistable_seq"]) + 1) % 10
            self.put(place, self.block(sequence, variables))

    def put(self, number: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(GRUB_OFFSETS[number])
            file.write(data)

    def _valid(self, variables: dict[str, str] | None) -> dict[str, str] | None:
        if variables is None or variables.get("bistable_end") != "1":
            return None
        allowed = {"bistable_order": {"a b", "b a", "a", "b"}}
        for name in ("seq", "a_tries", "b_tries"):
            allowed[f"bistable_{name}"] = set("0123456789")
        for name in ("a_good", "b_good", "seen"):
            allowed[f"bistable_{name}"] = {"0", "1"}
        return variables if all(variables.get(name) in values for name, values in allowed.items()) else None


class GrubFolders:
    """The two folders of Mender's integration for GRUB, as its boot script sees them."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder / "grub-mender-grubenv"
        for copy in (1, 2):
            (self.folder / f"mender_grubenv{copy}").mkdir(parents=True)
            self.put(copy, "env", variables)
            self.put(copy, "lock", {"editing": "0"})
            lock = self.path(copy, "lock").read_bytes()
            self.path(copy, "lock.sha256sum").write_text(f"{hashlib.sha256(lock).hexdigest()}  lock\n")

    def load(self) -> dict[str, str]:
        self._restore()
        return self.get(1, "env") or {}

    def save(self, variables: Mapping[str, str]) -> None:
        for copy in (2, 1):
            self.put(copy, "lock", {"editing": "1"})
            self.put(copy, "env", variables)
            self.put(copy, "lock", {"editing": "0"})

    def path(self, copy: int, name: str) -> Path:
        return self.folder / f"mender_grubenv{copy}" / name

    def get(self, copy: int, name: str) -> dict[str, str] | None:
        return grub_variables(self.path(copy, name).read_bytes())

    def put(self, copy: int, name: str, variables: Mapping[str, str]) -> None:
        self.path(copy, name).write_bytes(grub_block(variables))

    def memory(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())

    def _restore(self) -> None:
        for copy, other in ((2, 1), (1, 2)):
            if (self.get(copy, "lock") or {}).get("editing") != "0":
                found = self.get(other, "env")
                if found is not None:
                    self.put(copy, "env", found)
                self.put(copy, "lock", {"editing": "0"})
                return


def encode(variables: Mapping[str, str], counter: int) -> bytes:
    """Return one copy of a redundant environment."""
    data = b"".join(f"{name}={value}\0".encode() for name, value in variables.items() if value) + b"\0"
    data = data.ljust(COPY - 5, b"\0")
    return struct.pack("<IB", zlib.crc32(data), counter) + data


def decode(copy: bytes) -> tuple[int, dict[str, str]] | None:
    """Return counter and variables of a copy, None if it is not valid."""
    checksum, counter = struct.unpack_from("<IB", copy)
    if zlib.crc32(copy[5:]) != checksum:
        return None
    entries = copy[5:].split(b"\0\0")[0].decode().split("\0")
    return counter, dict(entry.split("=", 1) for entry in entries if entry)


class SlotsScript:
    """The boot script of boot/uboot/slots.py."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.attempts: list[str] = []

    def power_on(self, comes_up: Callable[[str], bool]) -> SlotName | None:
        for _ in range(RESETS):
            slot = self._run(comes_up)
            if slot is not None:
                return SlotName(slot)
        return None

    def _run(self, comes_up: Callable[[str], bool]) -> str | None:
        """From power-on to a system that runs, or a reset (None)."""
        variables = self.store.load()
        if not variables.get("bistable_order"):
            variables["bistable_order"] = "a b"
            for slot in "ab":
                variables |= {f"bistable_{slot}_good": "0", f"bistable_{slot}_tries": "3"}
        if variables.get("bistable_seen") != "1":
            variables["bistable_seen"] = "1"
            self.store.save(variables)
        for slot in variables["bistable_order"].split():
            good = variables[f"bistable_{slot}_good"] == "1"
            tries = int(variables[f"bistable_{slot}_tries"], 16)
            if not good and tries == 0:
                continue
            if not good:
                variables[f"bistable_{slot}_tries"] = f"{tries - 1:x}"
                self.store.save(variables)
            self.attempts.append(slot)
            if comes_up(slot):
                return slot
            if not good:
                return None
        for slot in variables["bistable_order"].split():
            if variables[f"bistable_{slot}_good"] != "1":
                variables[f"bistable_{slot}_tries"] = "3"
        self.store.save(variables)
        return None


class MenderScript:
    """U-Boot's boot count in its environment with Mender's altbootcmd; partitions 2 and 10 are slots a and b."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.attempts: list[str] = []

    def power_on(self, comes_up: Callable[[str], bool]) -> SlotName | None:
        for _ in range(RESETS):
            variables = self.store.load() or dict(MENDER_FACTORY)
            if variables.get("mender_saveenv_canary") != "1":
                variables["mender_saveenv_canary"] = "1"
                self.store.save(variables)
            if variables["upgrade_available"] == "1":
                count = int(variables["bootcount"]) + 1
                variables["bootcount"] = str(count)
                self.store.save(variables)
                if count > int(variables["bootlimit"]):
                    self._flip(variables)
            slot = {"2": A, "10": B}[variables["mender_boot_part"]]
            assert int(variables["mender_boot_part_hex"], 16) == int(variables["mender_boot_part"])
            self.attempts.append(slot)
            if comes_up(slot):
                return slot
        return None

    def _flip(self, variables: dict[str, str]) -> None:
        other = {"2": "10", "10": "2"}[variables["mender_boot_part"]]
        variables |= {"mender_boot_part": other, "mender_boot_part_hex": f"{int(other):X}", "upgrade_available": "0"}
        self.store.save(variables)


class Device:
    """A device under test: `loader` is our side, `power_on` the boot loader's; `running` is what came up last."""

    tries: int
    """How often a trial is booted before the fallback."""
    running: SlotName | None = A

    def __init__(self) -> None:
        self.broken: set[str] = set()

    @property
    def loader(self) -> Bootloader:
        """A new one each time, as after a power cut."""
        raise NotImplementedError

    def power_on(self, *, broken: Collection[str] | None = None) -> SlotName | None:
        """Boot until a slot comes up; None if none does."""
        self.broken = self.broken if broken is None else set(broken)
        self.running = self._boot()
        return self.running

    def comes_up(self, slot: str) -> bool:
        return slot not in self.broken

    def booted(self) -> SlotName:
        assert self.running is not None
        return self.running

    def memory(self) -> bytes:
        """What must not change when a call is repeated."""
        raise NotImplementedError

    def _boot(self) -> SlotName | None:
        raise NotImplementedError


class UBootDevice(Device):
    """A device with the real programs, or wrapped ones, on a file as environment."""

    def __init__(self, folder: Path, scheme: str, *, tries: int = 3) -> None:
        super().__init__()
        factory, script = {"slots": (SLOTS_FACTORY, SlotsScript), "mender": (MENDER_FACTORY, MenderScript)}[scheme]
        self.folder, self.scheme = folder, scheme
        self.environment = EnvironmentFile(folder, factory)
        self.script = script(self.environment)
        self.tries = tries if scheme == "slots" else 1
        self.settings = {
            "backend": "uboot",
            "scheme": scheme,
            "tries": tries,
            "tool_config": self.environment.config,
            "set_tool": self._setter(),
            "print_tool": "fw_printenv",
        }
        self.power_on()

    @property
    def loader(self) -> Bootloader:
        return make_bootloader(BootSettings(**self.settings), PAIR, booted=self.booted)  # type: ignore[arg-type]

    def cut_power(self, when: str, act: Callable[[], None]) -> bool:
        """Do `act` in a process that is killed before or after its write; return whether it came to a write at all."""
        (self.folder / "cut").write_text("before" if when == "before" else "after")
        child = os.fork()
        if not child:
            try:
                act()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        (self.folder / "cut").unlink(missing_ok=True)
        if killed and when == "torn":
            self.environment.tear()
        return killed

    def memory(self) -> bytes:
        return self.environment.path.read_bytes()

    def _boot(self) -> SlotName | None:
        return self.script.power_on(self.comes_up)

    def _setter(self) -> str:
        """Return fw_setenv in a shell script that kills its caller if the file `cut` says so."""
        tool = self.folder / "setter"
        tool.write_text(
            "#!/bin/sh\n"
            f'cut=$(cat "{self.folder}/cut" 2>/dev/null)\n'
            '[ "$cut" != before ] || kill -9 $PPID\n'
            '[ "$cut" = before ] || fw_setenv "$@" || exit\n'
            '[ "$cut" != after ] || kill -9 $PPID\n'
        )
        tool.chmod(0o755)
        return str(tool)


class GrubDevice(Device):
    """A device whose GRUB has our script."""

    tries = 3

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.environment = GrubFile(folder, SLOTS_FACTORY)
        self.script = SlotsScript(self.environment)
        self.power_on()

    @property
    def loader(self) -> Bootloader:
        copies = [f"{self.environment.path}@{offset}" for offset in GRUB_OFFSETS]
        return make_bootloader(BootSettings(backend="grub", grub_copies=copies), PAIR, booted=self.booted)

    def memory(self) -> bytes:
        return self.environment.path.read_bytes()

    def _boot(self) -> SlotName | None:
        return self.script.power_on(self.comes_up)


class GrubMenderDevice(Device):
    """A device whose GRUB has Mender's script."""

    tries = 1

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.environment = GrubFolders(folder, MENDER_FACTORY | {"mender_check_saveenv_canary": "0"})
        self.script = MenderScript(self.environment)
        self.power_on()

    @property
    def loader(self) -> Bootloader:
        settings = BootSettings(backend="grub", scheme="mender", grub_directory=self.environment.folder)
        return make_bootloader(settings, PAIR, booted=self.booted)

    def memory(self) -> bytes:
        return self.environment.memory()

    def _boot(self) -> SlotName | None:
        return self.script.power_on(self.comes_up)


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


COUNTING_HANDLER = """#!/bin/sh
# A handler in the manner of RAUC's, over a file that a boot script shares: a primary slot, states, and a trial.
set -eu
state="$(dirname "$0")/state"
. "$state"
save() {
    printf 'primary=%s\\nA=%s\\nB=%s\\ntrial=%s\\ncurrent=%s\\n' "$primary" "$A" "$B" "$trial" "$current" > "$state.new"
    mv "$state.new" "$state"
}
case "$1" in
    get-primary) echo "$primary" ;;
    set-primary) primary="$2"; trial=1; eval "$2=good"; save ;;
    get-state) eval "echo \\$$2" ;;
    set-state)
        eval "$2=$3"
        if [ "$2" = "$primary" ] && [ "$3" = good ]; then trial=0; fi
        save ;;
    get-current) echo "$current" ;;
    *) exit 1 ;;
esac
"""


class CustomDevice(Device):
    """A device with a handler; its boot script tries a new primary once."""

    tries = 1

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.state = folder / "state"
        self._save({"primary": "A", "A": "good", "B": "bad", "trial": "0", "current": "A"})
        self.handler = folder / "handler"
        self.handler.write_text(COUNTING_HANDLER)
        self.handler.chmod(0o755)

    @property
    def loader(self) -> Bootloader:
        settings = BootSettings(backend="custom", handler=self.handler, boot_names={A: "A", B: "B"})
        return make_bootloader(settings, PAIR, booted=self.booted)

    def memory(self) -> bytes:
        return self.state.read_bytes()

    def _save(self, values: Mapping[str, str]) -> None:
        self.state.write_text("".join(f"{key}={value}\n" for key, value in values.items()))

    def _boot(self) -> SlotName | None:
        for _ in range(RESETS):
            values = dict(line.split("=") for line in self.state.read_text().splitlines())
            primary, other = values["primary"], "B" if values["primary"] == "A" else "A"
            if values["trial"] == "2" or values[primary] == "bad":
                if values[other] == "bad":
                    return None
                values |= {"primary": other, primary: "bad", "trial": "0"}
            elif values["trial"] == "1":
                values["trial"] = "2"
            values["current"] = values["primary"]
            self._save(values)
            if self.comes_up(values["primary"].lower()):
                return SlotName(values["primary"].lower())
        return None


class SimulatedDevice(Device):
    """The simulated device that is shipped."""

    tries = 3

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "device.json"
        create(self.path, (A, B))

    @property
    def loader(self) -> Bootloader:
        return make_bootloader(BootSettings(backend="simulated", state=self.path), PAIR)

    def memory(self) -> bytes:
        return self.path.read_bytes()

    def _boot(self) -> SlotName | None:
        try:
            SimulatedSystem(self.path, boots=self.comes_up).reboot()
        except BootError:
            return None
        return read_device(self.path).booted


DEVICES: Mapping[str, Callable[[Path], Device]] = {
    "uboot-slots": lambda folder: UBootDevice(folder, "slots"),
    "uboot-mender": lambda folder: UBootDevice(folder, "mender"),
    "grub-slots": GrubDevice,
    "grub-mender": GrubMenderDevice,
    "systemd-boot": SystemdBootDevice,
    "efi": EfiDevice,
    "raspberry-pi": RaspberryDevice,
    "custom": CustomDevice,
    "simulated": SimulatedDevice,
}
