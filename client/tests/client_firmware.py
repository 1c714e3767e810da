"""A PC with UEFI firmware in QEMU, on whose boot partition "kernels" say which one was started, and reset."""

import os
import re
import selectors
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
SYSTEMD_BOOT = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
GUID = "11111111-2222-3333-4444-555555555555"
START, SECTORS = 2048, 131072
SECONDS = 240.0
"""For one machine: emulated, beside others, it takes ten times as long as alone."""

NEEDED: Mapping[str, str] = {
    "qemu-system-x86_64": "qemu-system-x86",
    "grub-mkimage": "grub-common",
    "mkfs.vfat": "dosfstools",
    "sfdisk": "fdisk",
    "mcopy": "mtools",
}


def needs_firmware() -> None:
    """Skip the test where a machine cannot be made."""
    missing = [f"{name} ({package})" for name, package in NEEDED.items() if shutil.which(name) is None]
    missing += [str(path) for path in (CODE, SYSTEMD_BOOT) if not path.exists()]
    if missing or not Path("/usr/lib/grub/x86_64-efi/moddep.lst").exists():
        pytest.skip(f"not installed: {', '.join(missing) or 'grub-efi-amd64-bin'}")


class Machine:
    """A disk with a boot partition, and the firmware's variables; `esp` is what goes onto the partition."""

    def __init__(self, folder: Path) -> None:
        needs_firmware()
        self.folder, self.esp, self.disk = folder, folder / "esp", folder / "disk.img"
        self.variables = folder / "variables"
        self.esp.mkdir()
        shutil.copy(VARIABLES, self.variables)

    def kernel(self, slot: str) -> None:
        """Put what says `STARTED slot` and resets in the place of a slot's kernel."""
        script, made = self.folder / "script", self.esp / "EFI/bistable" / slot / "linux.efi"
        lines = f"serial --unit=0 --speed=115200\nterminal_output serial\necho STARTED-{slot}-END\nreboot\n"
        script.write_text(lines)
        made.parent.mkdir(parents=True, exist_ok=True)
        modules = ["normal", "echo", "serial", "terminal", "reboot"]
        do("grub-mkimage", "-O", "x86_64-efi", "-p", "/none", "-c", script, "-o", made, *modules)

    def build(self) -> None:
        """Make the disk."""
        partition = self.folder / "partition.img"
        partition.write_bytes(b"")
        os.truncate(partition, SECTORS * 512)
        do("mkfs.vfat", "-F", "32", partition)
        for path in sorted(self.esp.iterdir()):
            do("mcopy", "-s", "-i", partition, path, "::/")
        self.disk.write_bytes(b"")
        os.truncate(self.disk, (START + SECTORS + 2048) * 512)
        table = f"label: gpt\nstart={START}, size={SECTORS}, type=U, uuid={GUID}\n"
        subprocess.run(["sfdisk", "-q", self.disk], input=table, text=True, check=True, timeout=60)
        with self.disk.open("r+b") as file:
            file.seek(START * 512)
            file.write(partition.read_bytes())

    def names(self, directory: str) -> list[str]:
        """Return the names of the files in a directory of the boot partition."""
        listed = do("mdir", "-b", "-i", f"{self.disk}@@{START * 512}", f"::/{directory}").stdout.decode()
        return sorted(line.rsplit("/", 1)[1] for line in listed.split())

    def starts(self, count: int) -> list[str]:
        """Run the machine until slots were started so many times, and return which."""
        with self._running() as output:
            found: list[str] = []
            for text in output:
                found = re.findall(r"STARTED-(\w+)-END", text)
                if len(found) >= count:
                    return found[:count]
        pytest.fail(f"only {found} were started: {text[-2000:]}")

    def until_off(self) -> str:
        """Run the machine until it turns itself off, and return what it said."""
        with self._running() as output:
            return "".join(deque(output, maxlen=1))

    @contextmanager
    def _running(self) -> Iterator[Iterator[str]]:
        drives: Sequence[str] = [
            *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={CODE}"),
            *("-drive", f"if=pflash,unit=1,format=raw,file={self.variables}"),
            *("-drive", f"if=none,id=d0,format=raw,file={self.disk},cache=unsafe"),
            *("-device", "virtio-blk-pci,drive=d0"),
        ]
        machine = ["-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256", "-nodefaults", "-vga", "none"]
        command = ["qemu-system-x86_64", *machine, "-display", "none", "-serial", "stdio", *drives]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            try:
                yield _text(process)
            finally:
                process.kill()


def _text(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """Yield all that was said so far, each time there is more."""
    assert process.stdout is not None
    deadline, said = time.monotonic() + SECONDS, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not selector.select(deadline - time.monotonic()):
                break
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                break
            said += data.replace(b"\0", b"")
            yield said.decode("utf-8", "replace")


def do(*command: str | Path) -> "subprocess.CompletedProcess[bytes]":
    """Run a program."""
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=120)
