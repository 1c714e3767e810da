"""A device with U-Boot: its environment in a file, for the real programs."""

import os
import signal
import struct
import zlib
from collections.abc import Callable, Mapping
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

COPY = 0x1000


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


class UBootDevice(Device):
    """A device with the real programs, or wrapped ones, on a file as environment."""

    def __init__(self, folder: Path, scheme: str, *, tries: int = 3) -> None:
        super().__init__()
        self.folder, self.scheme = folder, scheme
        self.environment = EnvironmentFile(folder, {"slots": SLOTS_FACTORY, "mender": MENDER_FACTORY}[scheme])
        self.script = SlotsScript(self.environment) if scheme == "slots" else MenderScript(self.environment)
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
