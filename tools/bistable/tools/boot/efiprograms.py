"""EFI programs that choose a slot: GRUB, made of its modules by grub-mkimage, and systemd-boot, as it is installed."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.run import run
from bistable.tools.boot.plan import BootPlan, Loader

REMOVABLE: Final = PurePosixPath("EFI/BOOT")
"""Where UEFI looks on a disk that it knows nothing of."""

MODULES: Final = (
    "part_gpt", "part_msdos", "fat", "ext2", "squash4", "iso9660", "normal", "configfile", "linux", "loadenv", "test",
    "echo", "regexp", "reboot", "halt",
)  # fmt: skip

FORMATS: Final = {
    "amd64": ("x86_64-efi", "BOOTX64.EFI"),
    "arm64": ("arm64-efi", "BOOTAA64.EFI"),
    "riscv64": ("riscv64-efi", "BOOTRISCV64.EFI"),
}
"""Architecture -> GRUB's name of it, and the name of the file that UEFI starts without being told."""

DIRECTORIES: Final = (Path("/usr/lib/grub"), Path("/usr/local/lib/grub"), Path("/usr/share/grub"))

SYSTEMD_BOOT: Final = {
    "amd64": "systemd-bootx64.efi",
    "arm64": "systemd-bootaa64.efi",
    "riscv64": "systemd-bootriscv64.efi",
}
SYSTEMD_BOOT_DIRECTORY: Final = Path("/usr/lib/systemd/boot/efi")

_TIMEOUT: Final = 60.0


class Program(StrEnum):
    """What the firmware starts."""

    GRUB = "grub"
    SYSTEMD_BOOT = "systemd-boot"


PROGRAMS: Final[Mapping[Loader, Program]] = {
    Loader.GRUB: Program.GRUB,
    Loader.SYSTEMD_BOOT: Program.SYSTEMD_BOOT,
    Loader.EFI: Program.GRUB,
}
"""Boot loaders that need an EFI program on the boot partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EfiProgram:
    """An EFI program that has to lie at `path` of the boot partition."""

    program: Program
    path: PurePosixPath


def efi_program(plan: BootPlan) -> EfiProgram | None:
    """Return which EFI program the plan needs; None where the firmware starts something else.

    Raises:
        RequestError: there is none for this architecture.
    """
    program = PROGRAMS.get(plan.loader)
    if program is None:
        return None
    if plan.architecture not in FORMATS:
        verb = "make GRUB" if program is Program.GRUB else "take systemd-boot"
        raise RequestError(f"cannot {verb} for {plan.architecture}: only for {', '.join(FORMATS)}")
    return EfiProgram(program=program, path=REMOVABLE / FORMATS[plan.architecture][1])


def program_content(program: Program, plan: BootPlan) -> bytes:
    """Return the content of an EFI program that fits the plan, whose architecture has one.

    Raises:
        MachineError: it, or what it is made of, is not installed.
    """
    return _CONTENTS[program](plan)


def _grub(plan: BootPlan) -> bytes:
    architecture = plan.architecture
    form, name = FORMATS[architecture]
    modules = next((place / form for place in DIRECTORIES if (place / form / "moddep.lst").exists()), None)
    if modules is None:
        raise MachineError(
            f"cannot make GRUB for {architecture}: its modules are not in {DIRECTORIES[0] / form}",
            hint=f"install the package grub-efi-{architecture}-bin; if it is for another machine than this, unpack it "
            f"and put its folder {form} into {DIRECTORIES[1]}",
        )
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / name
        run(
            ["grub-mkimage", "-O", form, "-d", modules, "-p", str(plan.grub_prefix), "-o", made, *MODULES],
            timeout=_TIMEOUT,
        )
        return made.read_bytes()


def _systemd_boot(plan: BootPlan) -> bytes:
    path = SYSTEMD_BOOT_DIRECTORY / SYSTEMD_BOOT[plan.architecture]
    try:
        return path.read_bytes()
    except OSError as e:
        raise MachineError(
            f"cannot read {path}: {e.strerror}", hint=f"install the package systemd-boot-efi of {plan.architecture}"
        ) from e


_CONTENTS: Final[Mapping[Program, Callable[[BootPlan], bytes]]] = {
    Program.GRUB: _grub,
    Program.SYSTEMD_BOOT: _systemd_boot,
}
