"""EFI programs that choose a slot: GRUB, made of its modules by grub-mkimage, and systemd-boot, as it is installed."""

import tempfile
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.run import run

PREFIX: Final = "/grub"
"""Where GRUB looks for grub.cfg, on the partition that it was started from."""

MODULES: Final = (
    "part_gpt", "part_msdos", "fat", "ext2", "squash4", "iso9660", "normal", "configfile", "linux", "loadenv", "test",
    "echo", "regexp", "reboot", "halt",
)  # fmt: skip

FORMATS: Final = {"amd64": ("x86_64-efi", "BOOTX64.EFI"), "arm64": ("arm64-efi", "BOOTAA64.EFI")}
"""Architecture -> GRUB's name of it, and the name of the file that UEFI starts without being told."""

DIRECTORIES: Final = (Path("/usr/lib/grub"), Path("/usr/local/lib/grub"), Path("/usr/share/grub"))

_TIMEOUT: Final = 60.0


def grub_image(architecture: str) -> tuple[str, bytes]:
    """Return the name and the content of the EFI program.

    Raises:
        RequestError: there is no GRUB for UEFI of this architecture.
        MachineError: GRUB's modules or its tool are not installed.
    """
    if architecture not in FORMATS:
        raise RequestError(f"cannot make GRUB for {architecture}: only for {', '.join(FORMATS)}")
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
            ["grub-mkimage", "-O", form, "-d", modules, "-p", PREFIX, "-o", made, *MODULES],
            timeout=_TIMEOUT,
        )
        return name, made.read_bytes()


SYSTEMD_BOOT: Final = {"amd64": "systemd-bootx64.efi", "arm64": "systemd-bootaa64.efi"}
SYSTEMD_BOOT_DIRECTORY: Final = Path("/usr/lib/systemd/boot/efi")


def systemd_boot(architecture: str) -> tuple[str, bytes]:
    """Return the name that UEFI starts without being told, and the content of systemd-boot.

    Raises:
        RequestError: there is no systemd-boot for this architecture.
        MachineError: it is not installed.
    """
    if architecture not in SYSTEMD_BOOT:
        raise RequestError(f"cannot take systemd-boot for {architecture}: only for {', '.join(SYSTEMD_BOOT)}")
    path = SYSTEMD_BOOT_DIRECTORY / SYSTEMD_BOOT[architecture]
    try:
        return FORMATS[architecture][1], path.read_bytes()
    except OSError as e:
        raise MachineError(
            f"cannot read {path}: {e.strerror}", hint=f"install the package systemd-boot-efi of {architecture}"
        ) from e
