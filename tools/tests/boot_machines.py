"""Real boot loaders in QEMU on tiny disks, without Linux: one run is one boot."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bistable.tools.boot import BootFiles
from bistable.tools.boot.ubootenv import build_copy

SECTOR = 512
MIB = 1024 * 1024
SECONDS = 180
"""How long one boot may take on a loaded machine; alone it takes 2 (U-Boot) or 8 (GRUB)."""

BOOT, ENVIRONMENT, SLOT_A, SLOT_B = 1, 2, 3, 4
PARTITIONS = {BOOT: (1, 4), ENVIRONMENT: (5, 1), SLOT_A: (6, 2), SLOT_B: (8, 2)}
"""Number -> start and size in MiB."""
DISK_MIB = 11

UBOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
UBOOT_RISCV64 = Path("/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf")
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

ESCAPES = re.compile(r"\x1b\[[0-9;=]*[A-Za-z]")
"""GRUB and the firmware colour their lines."""

FLASH = 64 * MIB
FLASH_ENVIRONMENT = 0x40000
BOARD = {
    "bootdelay": "-2",
    "bootcmd": "pci enum; virtio scan; load virtio 0:1 ${scriptaddr} boot.scr; source ${scriptaddr}; reset",
    "fdt_high": "0xffffffffffffffff",
    "initrd_high": "0xffffffffffffffff",
    "scriptaddr": "0x40200000",
    "kernel_addr_r": "0x40400000",
    "ramdisk_addr_r": "0x44000000",
    "fdt_addr_r": "0x40000000",
}
"""What a board's U-Boot has as its own environment: without the wait for a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What one boot printed."""

    console: str

    @property
    def said(self) -> list[str]:
        """The lines of the boot script, and of the kernel."""
        lines = (line.strip() for line in ESCAPES.sub("", self.console).replace("\r", "\n").splitlines())
        return [line for line in lines if line.startswith(("bistable:", "KERNEL"))]

    @property
    def started(self) -> str | None:
        """The slot whose kernel ran."""
        kernels = [line for line in self.said if line.startswith("KERNEL")]
        return kernels[0].split()[1] if kernels else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Reads or writes that touch a sector of the environment's partition fail."""

    kind: str
    sector: int


class Disk:
    """A disk of a few MiB with boot partition, environment and two slots."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def environment(self) -> bytes:
        start, size = PARTITIONS[ENVIRONMENT]
        with self.path.open("rb") as file:
            file.seek(start * MIB)
            return file.read(size * MIB)

    def set_environment(self, data: bytes, at: int = 0) -> None:
        start, _ = PARTITIONS[ENVIRONMENT]
        with self.path.open("r+b") as file:
            file.seek(start * MIB + at)
            file.write(data)


def make_disk(path: Path, files: BootFiles, slots: Mapping[int, Mapping[PurePosixPath, bytes]]) -> Disk:
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(DISK_MIB * MIB)
    table = "label: gpt\n" + "".join(
        f"start={start}MiB, size={size}MiB, name=p{number}\n" for number, (start, size) in PARTITIONS.items()
    )
    subprocess.run(["sfdisk", "-q", str(path)], input=table.encode(), check=True, capture_output=True)
    for number, content in {BOOT: files.boot, **slots}.items():
        _put_fat(path, number, content)
    disk = Disk(path)
    for offset, data in files.environment.items():
        disk.set_environment(data, offset)
    return disk


def _put_fat(path: Path, number: int, content: Mapping[PurePosixPath, bytes]) -> None:
    start, size = PARTITIONS[number]
    image = path.with_suffix(f".p{number}")
    with image.open("wb") as file:
        file.truncate(size * MIB)
    subprocess.run(["mkfs.vfat", "-i", "0000000" + str(number), str(image)], check=True, capture_output=True)
    made: set[PurePosixPath] = set()
    for name, data in content.items():
        relative = PurePosixPath(*name.parts[1:]) if name.is_absolute() else name
        for parent in list(reversed(relative.parents))[1:]:
            if parent not in made:
                subprocess.run(["mmd", "-i", str(image), f"::/{parent}"], check=True, capture_output=True)
                made.add(parent)
        source = path.with_suffix(".file")
        source.write_bytes(data)
        subprocess.run(["mcopy", "-i", str(image), str(source), f"::/{relative}"], check=True, capture_output=True)
        source.unlink()
    with path.open("r+b") as disk:
        disk.seek(start * MIB)
        disk.write(image.read_bytes())
    image.unlink()


def get_file(disk: Disk, number: int, name: str) -> bytes:
    """A file in the root of a partition."""
    start, _ = PARTITIONS[number]
    return subprocess.run(
        ["mtype", "-i", f"{disk.path}@@{start}M", f"::/{name}"], check=True, capture_output=True
    ).stdout


def list_files(disk: Disk, number: int, folder: str) -> list[str]:
    """Names of the files in a folder of a partition, sorted."""
    start, _ = PARTITIONS[number]
    listed = subprocess.run(
        ["mdir", "-b", "-i", f"{disk.path}@@{start}M", f"::/{folder}"], check=True, capture_output=True, text=True
    )
    return sorted(line.rsplit("/", 1)[1] for line in listed.stdout.split())


def put_file(disk: Disk, number: int, name: str, content: bytes) -> None:
    """Replace a file in the root of a partition."""
    start, _ = PARTITIONS[number]
    source = disk.path.with_suffix(".file")
    source.write_bytes(content)
    command = ["mcopy", "-o", "-i", f"{disk.path}@@{start}M", str(source), f"::/{name}"]
    subprocess.run(command, check=True, capture_output=True)


def boot_uboot(
    disk: Disk, *, faults: Sequence[Fault] = (), bios: Path = UBOOT, board: Mapping[str, str] = BOARD
) -> Boot:
    """Start U-Boot once."""
    flash = disk.path.with_name("flash0.img"), disk.path.with_name("flash1.img")
    for file, content in zip(
        flash, (bios.read_bytes(), build_copy(board, FLASH_ENVIRONMENT, counter=None)), strict=True
    ):
        file.write_bytes(content)
        with file.open("r+b") as opened:
            opened.truncate(FLASH)
    return run_machine(
        [
            "qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "cortex-a57", "-m", "256",
            "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={flash[0]}",
            "-drive", f"if=pflash,unit=1,format=raw,readonly=on,file={flash[1]}",
            *_drive(disk, faults),
        ],
    )  # fmt: skip


def boot_uboot_riscv64(disk: Disk) -> Boot:
    """Start U-Boot of a RISC-V machine once; it looks for boot.scr by itself. OpenSBI comes with QEMU."""
    machine = ["qemu-system-riscv64", "-M", "virt", "-m", "256", "-kernel", str(UBOOT_RISCV64)]
    return run_machine([*machine, *_drive(disk, ())])


def boot_grub(disk: Disk, *, faults: Sequence[Fault] = ()) -> Boot:
    """Start OVMF and GRUB once."""
    variables = disk.path.with_name("vars.fd")
    shutil.copyfile(OVMF_VARS, variables)
    return run_machine(
        [
            "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-m", "192", "-vga", "none",
            "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}",
            "-drive", f"if=pflash,unit=1,format=raw,file={variables}",
            *_drive(disk, faults),
        ],
    )  # fmt: skip


def _drive(disk: Disk, faults: Sequence[Fault]) -> list[str]:
    start, _ = PARTITIONS[ENVIRONMENT]
    errors = [
        {
            "event": "none",
            "iotype": fault.kind,
            "sector": start * MIB // SECTOR + fault.sector,
            "errno": 5,
            "once": False,
            "immediately": False,
        }
        for fault in faults
    ]
    image = {"driver": "file", "filename": str(disk.path), "cache": {"no-flush": True}}
    driver = {"driver": "blkdebug", "image": image, "inject-error": errors} if errors else image
    node = {"driver": "raw", "node-name": "d0", "file": driver}
    return ["-blockdev", json.dumps(node), "-device", "virtio-blk-pci,drive=d0,bootindex=1,write-cache=on"]


def run_machine(command: list[str]) -> Boot:
    """Run the machine until it is off or resets."""
    try:
        done = subprocess.run(
            [*command, "-accel", "tcg", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise AssertionError(f"the machine does not end:\n{(e.stdout or b'').decode(errors='replace')}") from e
    console = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"QEMU fails: {done.stderr.decode(errors='replace')}\n{console}"
    return Boot(console=console)
