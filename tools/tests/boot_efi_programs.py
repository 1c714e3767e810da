"""EFI programs that print a line and reset the machine, in place of kernels: GRUB's core with a built-in script."""

import subprocess
from pathlib import Path


def efi_program(text: str, directory: Path) -> bytes:
    script, made = directory / "script", directory / "program.efi"
    script.write_text(f"echo {text}\nreboot\n")
    command = ["grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-c", str(script), "-o", str(made), "echo", "reboot"]
    subprocess.run(command, check=True, capture_output=True)
    return made.read_bytes()
