"""A U-Boot that has its environment and the slots in UBI, in QEMU. One run is one boot.

QEMU has no NAND that this U-Boot could drive: UBI lies on NOR flash, with another geometry. Its commands, its volumes
and its environment are the same.
"""

import os
import struct
import subprocess
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from boot_machines import Boot, run_machine
from boot_programs import needs
from boot_stand_ins import arm64_kernel
from ubi_plans import flash, ubi_plan

from bistable.artifact.errors import RejectedError
from bistable.artifact.limits import KIB, MIB
from bistable.tools.boot import ubootenv
from bistable.tools.boot.legacy import build_script
from bistable.tools.boot.state import names_of
from bistable.tools.boot.ubi import FlashPartition
from bistable.tools.boot.ubifiles import ubi_files
from bistable.tools.boot.ubigeometry import ENVIRONMENTS, place_volumes

ROOT = Path(__file__).parent.parent.parent
KERNEL = PurePosixPath("/boot/Image")
FLASH = flash(
    size=64 * MIB,
    erase_block=256 * KIB,
    page=1,
    sub_page=1,
    mtd_id="flash",
    uboot="nor1",
    partitions=(FlashPartition(name="ubi", offset=0, size=None),),
)
PLAN = ubi_plan(
    flash=FLASH,
    slot_size=8 * MIB,
    environment_size=64 * KIB,
    kernel=KERNEL,
    devicetree=None,
    architecture="arm64",
    arguments="console=ttyAMA0",
)
FILES = ubi_files(PLAN)
GEOMETRY = place_volumes(PLAN)

_EC, _VID = b"UBI#", b"UBI!"
_TABLE = 0x7FFFEFFF
_RECORD = 172
_MARKER = 13
"""Where a record of the table of volumes says that an update of the volume is not finished."""


def uboot() -> Path:
    """U-Boot as tools/build_uboot.sh builds it; without one the test is skipped."""
    built = sorted((ROOT / ".cache" / "qemu").glob("ubi-u-boot-*.bin"), key=lambda path: path.stat().st_mtime)
    if built:
        return built[-1]
    if os.environ.get("BISTABLE_BUILD_UBOOT") != "1":
        pytest.skip("no U-Boot with UBI: run tools/build_uboot.sh ubi")
    done = subprocess.run([ROOT / "tools" / "build_uboot.sh", "ubi"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


@dataclass(frozen=True, slots=True)
class FlashImage:
    """The flash of the machine, as a file."""

    path: Path

    def boot(self) -> Boot:
        """Start the machine once."""
        code = self.path.with_name("code.img")
        code.write_bytes(uboot().read_bytes())
        os.truncate(code, FLASH.size)
        return run_machine(
            [
                "qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "cortex-a57", "-m", "256", "-net", "none",
                "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
                "-drive", f"if=pflash,unit=1,format=raw,file={self.path}",
            ],
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The variables of ours in the newest copy."""
        valid = []
        for name in ENVIRONMENTS:
            with suppress(RejectedError):
                valid.append(ubootenv.read_redundant(self.volume(name)[: PLAN.environment_size]))
        newest = max(valid, key=lambda copy: copy.counter or 0)
        return newest.variables(names_of(("a", "b")))

    def volume(self, name: str) -> bytes:
        """The content of a volume, with erased flash where nothing was written."""
        number, blocks = GEOMETRY.volume(name).number, GEOMETRY.volume(name).blocks
        found = self._blocks(number)
        return b"".join(found.get(block, (0, b"\xff" * GEOMETRY.leb))[1] for block in range(blocks))

    def is_unfinished(self, name: str) -> bool:
        """Whether an update of the volume was begun, and has not ended."""
        (_, table), *_ = self._blocks(_TABLE).values()
        return table[GEOMETRY.volume(name).number * _RECORD + _MARKER] == 1

    def interrupt(self, name: str) -> None:
        """Make it as after a power cut in an update of the volume: begun, and not ended."""
        data = bytearray(self.path.read_bytes())
        for start in self._places(_TABLE):
            at = start + 128 + GEOMETRY.volume(name).number * _RECORD
            data[at + _MARKER] = 1
            data[at + _RECORD - 4 : at + _RECORD] = _crc(data[at : at + _RECORD - 4])
        for start in self._places(GEOMETRY.volume(name).number):
            data[start + 64 : start + FLASH.erase_block] = b"\xff" * (FLASH.erase_block - 64)
        self.path.write_bytes(data)

    def _places(self, volume: int) -> list[int]:
        data = self.path.read_bytes()
        return [
            start
            for start in range(0, len(data), FLASH.erase_block)
            if data[start + 64 : start + 68] == _VID and int.from_bytes(data[start + 72 : start + 76]) == volume
        ]

    def _blocks(self, volume: int) -> dict[int, tuple[int, bytes]]:
        """Block of the volume -> sequence number and content; of several copies of a block the newest."""
        data = self.path.read_bytes()
        found: dict[int, tuple[int, bytes]] = {}
        for start in self._places(volume):
            block = int.from_bytes(data[start + 76 : start + 80])
            sequence = int.from_bytes(data[start + 104 : start + 112])
            if block not in found or found[block][0] < sequence:
                found[block] = sequence, data[start + 128 : start + FLASH.erase_block]
        return found


def make_flash(folder: Path, variables: Mapping[str, str] | None = None, *, kernels: str = "ab") -> FlashImage:
    """The flash of a device; `variables` are in both copies of its environment, None: both are empty.

    Slots in `kernels` have one, the others are a file system without; "-" stands for a slot b that is empty.
    """
    needs("ubinize", "mkfs.ubifs", "qemu-system-aarch64")
    (folder / "boot.scr").write_bytes(build_script(FILES.script, PLAN.architecture))
    text = FILES.ubinize.replace("image=rootfs.ubifs", "image=rootfs-a.ubifs")
    for slot in "ab":
        _make_slot(folder, slot, with_kernel=slot in kernels)
    if "-" not in kernels:
        text = text.replace("[rootfs-b]\nmode=ubi\n", "[rootfs-b]\nmode=ubi\nimage=rootfs-b.ubifs\n")
    if variables is not None:
        for counter, name in zip((2, 1), ENVIRONMENTS, strict=True):
            copy = ubootenv.build_copy(variables, PLAN.environment_size, counter=counter)
            (folder / f"{name}.bin").write_bytes(copy)
            text = text.replace(f"[{name}]\nmode=ubi\n", f"[{name}]\nmode=ubi\nimage={name}.bin\n")
    (folder / "ubinize.cfg").write_text(text)
    _run(folder, "ubinize", *FILES.ubinize_arguments, "-o", "ubi.img", "ubinize.cfg")
    image = (folder / "ubi.img").read_bytes()
    path = folder / "flash.img"
    path.write_bytes(image + b"\xff" * (FLASH.size - len(image)))
    return FlashImage(path)


def _make_slot(folder: Path, slot: str, *, with_kernel: bool) -> None:
    root = folder / f"root-{slot}"
    (root / "boot").mkdir(parents=True)
    if with_kernel:
        (root / "boot" / KERNEL.name).write_bytes(arm64_kernel(f"KERNEL {slot}\n"))
    # The smallest write of UBIFS is 8 bytes also where the flash can do with less.
    words = list(FILES.mkfs_arguments)
    words[words.index("-m") + 1] = "8"
    _run(folder, "mkfs.ubifs", *words, "-r", root.name, "-o", f"rootfs-{slot}.ubifs")


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _crc(data: bytes | bytearray) -> bytes:
    """The checksum of UBI's headers: CRC-32 without its last step."""
    return struct.pack(">I", zlib.crc32(data) ^ 0xFFFFFFFF)
