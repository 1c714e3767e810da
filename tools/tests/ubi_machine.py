"""A U-Boot that has its environment and the slots in UBI, in QEMU. One run is one boot.

QEMU has no NAND that this U-Boot could drive: UBI lies on NOR flash, with another geometry. Its commands, its volumes
and its environment are the same.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest
from boot_machines import Boot, run_machine
from boot_programs import needs
from boot_stand_ins import arm64_kernel
from ubi_image import UbiImage
from ubi_plans import flash, ubi_plan

from bistable.artifact.limits import KIB, MIB
from bistable.tools.boot import ubootenv
from bistable.tools.boot.legacy import build_script
from bistable.tools.boot.ubi import FlashPartition
from bistable.tools.boot.ubifiles import ubi_files
from bistable.tools.boot.ubigeometry import ENVIRONMENTS

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


def uboot() -> Path:
    """U-Boot as tools/build_uboot.sh builds it; without one the test is skipped."""
    built = sorted((ROOT / ".cache" / "qemu").glob("ubi-u-boot-*.bin"), key=lambda path: path.stat().st_mtime)
    if built:
        return built[-1]
    if os.environ.get("BISTABLE_BUILD_UBOOT") != "1":
        pytest.skip("no U-Boot with UBI: run tools/build_uboot.sh ubi")
    done = subprocess.run([ROOT / "tools" / "build_uboot.sh", "ubi"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


class FlashImage(UbiImage):
    """The flash of the machine, as a file."""

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
    return FlashImage(path, PLAN)


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
