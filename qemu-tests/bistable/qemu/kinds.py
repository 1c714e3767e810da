"""The kinds of machines: processor, firmware, boot loader, and the arguments of QEMU that make them."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.qemu import cache
from bistable.tools.bench.run import run
from bistable.tools.boot.efiprograms import DIRECTORIES
from bistable.tools.boot.plan import Loader


class Kind(StrEnum):
    """A kind of machine."""

    X86_64_GRUB = "x86_64-grub"
    X86_64_SYSTEMD_BOOT = "x86_64-systemd-boot"
    X86_64_EFI = "x86_64-efi"
    ARM64_UBOOT = "arm64-uboot"
    ARM64_GRUB = "arm64-grub"
    ARMHF_UBOOT = "armhf-uboot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What a kind of machine consists of."""

    architecture: str
    """As Debian calls it."""
    loader: Loader
    program: str
    arguments: tuple[str, ...]
    processors: Mapping[str, str]
    """Accelerator -> processor."""
    memory: int
    """MiB."""
    bus: str
    """How virtio devices are attached: `pci` or `device`."""
    console: str
    """The serial line as Linux calls it."""
    firmware: Callable[[Path], tuple[str, ...]]
    """Given the folder of the machine, in which it may keep what it remembers, returns the arguments for it."""
    needs: tuple[Path, ...]
    """Files of the firmware."""


PFLASH_SIZE: Final = 64 * 1024 * 1024
"""The machine `virt` has two banks of this size."""

ENVIRONMENT_SIZE: Final = 0x40000
"""CONFIG_ENV_SIZE of U-Boot's qemu_arm and qemu_arm64."""

UBOOT_ENVIRONMENT: Final = """\
bootdelay=-2
bootcmd=pci enum; virtio scan; part list virtio 0 -bootable marked; run script; reset
script=load virtio 0:${{marked}} ${{scriptaddr}} /boot.scr && source ${{scriptaddr}}
scriptaddr=0x40200000
kernel_addr_r=0x40400000
ramdisk_addr_r=0x44000000
fdt_addr=0x40000000
fdt_addr_r=0x40000000
fdt_high={high}
initrd_high={high}
"""
"""As the built-in one, as far as a boot script cares, without the two seconds in which somebody could press a key; of
the search for something to boot only the step that finds it, on the partition with the mark."""

_OVMF: Final = Path("/usr/share/OVMF")
_AAVMF: Final = Path("/usr/share/AAVMF")
_UBOOT: Final = Path("/usr/lib/u-boot")
_GRUB_ARM64: Final = next(
    (place / "arm64-efi" for place in DIRECTORIES if (place / "arm64-efi").is_dir()), DIRECTORIES[0] / "arm64-efi"
)
"""On another machine than arm64 it is not installed but unpacked, into one of the other places."""


def _ovmf(folder: Path) -> tuple[str, ...]:
    return _uefi(folder, _OVMF / "OVMF_CODE_4M.fd", _OVMF / "OVMF_VARS_4M.fd")


def _aavmf(folder: Path) -> tuple[str, ...]:
    return _uefi(folder, _AAVMF / "AAVMF_CODE.fd", _AAVMF / "AAVMF_VARS.fd")


def _uefi(folder: Path, code: Path, variables: Path) -> tuple[str, ...]:
    own = folder / "firmware-variables.fd"
    if not own.exists():
        shutil.copyfile(variables, own)
    return (
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
        "-drive", f"if=pflash,unit=1,format=raw,file={own}",
    )  # fmt: skip


def _uboot64(_folder: Path) -> tuple[str, ...]:
    return _uboot(_UBOOT / "qemu_arm64" / "u-boot.bin", high="0xffffffffffffffff")


def _uboot32(_folder: Path) -> tuple[str, ...]:
    return _uboot(_UBOOT / "qemu_arm" / "u-boot.bin", high="0xffffffff")


def _uboot(program: Path, *, high: str) -> tuple[str, ...]:
    environment = UBOOT_ENVIRONMENT.format(high=high)

    def make(folder: Path) -> None:
        folder.mkdir()
        shutil.copyfile(program, folder / "program")
        (folder / "environment.txt").write_text(environment, "ascii")
        output = folder / "environment"
        run(["mkenvimage", "-s", f"{ENVIRONMENT_SIZE:#x}", "-o", output, folder / "environment.txt"], timeout=30.0)
        for name in ("program", "environment"):
            with (folder / name).open("r+b") as file:
                file.truncate(PFLASH_SIZE)

    made = cache.made("u-boot-flash", cache.digest(program, environment), make)
    return (
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={made / 'program'}",
        "-drive", f"if=pflash,unit=1,format=raw,readonly=on,file={made / 'environment'}",
    )  # fmt: skip


_X86: Final = {"tcg": "max", "kvm": "host"}
_ARM64: Final = {"tcg": "cortex-a57", "kvm": "host"}


def _x86(loader: Loader) -> Hardware:
    return Hardware(
        architecture="amd64",
        loader=loader,
        program="qemu-system-x86_64",
        arguments=("-M", "q35", "-vga", "none"),
        processors=_X86,
        memory=512,
        bus="pci",
        console="ttyS0",
        firmware=_ovmf,
        needs=(_OVMF / "OVMF_CODE_4M.fd", _OVMF / "OVMF_VARS_4M.fd"),
    )


def _arm64(loader: Loader, firmware: Callable[[Path], tuple[str, ...]], *needs: Path) -> Hardware:
    return Hardware(
        architecture="arm64",
        loader=loader,
        program="qemu-system-aarch64",
        arguments=("-M", "virt,gic-version=3"),
        processors=_ARM64,
        memory=512,
        bus="pci",
        console="ttyAMA0",
        firmware=firmware,
        needs=needs,
    )


HARDWARE: Final[Mapping[Kind, Hardware]] = {
    Kind.X86_64_GRUB: _x86(Loader.GRUB),
    Kind.X86_64_SYSTEMD_BOOT: _x86(Loader.SYSTEMD_BOOT),
    Kind.X86_64_EFI: _x86(Loader.EFI),
    Kind.ARM64_UBOOT: _arm64(Loader.UBOOT, _uboot64, _UBOOT / "qemu_arm64" / "u-boot.bin"),
    Kind.ARM64_GRUB: _arm64(
        Loader.GRUB, _aavmf, _AAVMF / "AAVMF_CODE.fd", _AAVMF / "AAVMF_VARS.fd", _GRUB_ARM64 / "moddep.lst"
    ),
    Kind.ARMHF_UBOOT: Hardware(
        architecture="armhf",
        loader=Loader.UBOOT,
        program="qemu-system-arm",
        arguments=("-M", "virt,highmem=off"),
        processors={"tcg": "cortex-a15"},
        memory=512,
        bus="device",
        console="ttyAMA0",
        firmware=_uboot32,
        needs=(_UBOOT / "qemu_arm" / "u-boot.bin",),
    ),
}

_PACKAGES: Final[Mapping[Path, str]] = {
    _OVMF: "ovmf",
    _AAVMF: "qemu-efi-aarch64",
    _UBOOT: "u-boot-qemu",
    _GRUB_ARM64: "grub-efi-arm64-bin, or unpack it there",
}


def check_firmware(kind: Kind) -> None:
    """Raise MachineError if a file of the kind's firmware is not there; the hint names the package."""
    for path in HARDWARE[kind].needs:
        if not path.exists():
            package = next(package for folder, package in _PACKAGES.items() if path.is_relative_to(folder))
            raise MachineError(f"cannot start {kind}: there is no {path}", hint=f"install the package {package}")
