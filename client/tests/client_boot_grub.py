"""Devices with GRUB: our two blocks in a file, and the two folders of Mender's integration."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from client_boot import (
    MENDER_FACTORY,
    PAIR,
    SLOTS_FACTORY,
    Device,
    MenderScript,
    SlotsScript,
)

from bistable.client.boot import Bootloader, BootSettings, make_bootloader
from bistable.client.model import SlotName

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
