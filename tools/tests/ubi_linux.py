"""Linux on raw NAND, in QEMU: the kernel's own simulation of a chip, whose content is kept in a file when it is off.

There is no U-Boot: the kernel is started with the arguments that the boot script gives it, and the environment is
read by the test. tools/tests/test_ubi_uboot.py has the other half.
"""

import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from boot_programs import needs
from ubi_image import UbiImage
from ubi_plans import flash, ubi_plan

from bistable.artifact import Codec, Options, read_signer, rootfs_request, write_artifact
from bistable.artifact.limits import KIB, MIB
from bistable.qemu import cache
from bistable.qemu.rig import keys
from bistable.qemu.rootfs import cpio, packages
from bistable.qemu.rootfs.build import copied, system
from bistable.qemu.rootfs.kernel import Kernel, loading_order, module_content
from bistable.tools.bench.device import LineDevice
from bistable.tools.bench.process import ProcessHands
from bistable.tools.boot import ubootenv
from bistable.tools.boot.legacy import build_script
from bistable.tools.boot.ubi import FlashPartition
from bistable.tools.boot.ubifiles import ubi_files
from bistable.tools.boot.ubigeometry import ENVIRONMENTS, place_volumes

FLASH = flash(
    size=128 * MIB,
    sub_page=512,
    mtd_id="nandsim",
    partitions=(FlashPartition(name="ubi", offset=0, size=None),),
)
PLAN = ubi_plan(
    flash=FLASH,
    slot_size=42 * MIB,
    environment_size=64 * KIB,
    kernel=PurePosixPath("/boot/vmlinuz"),
    devicetree=None,
    architecture="amd64",
    arguments="console=ttyS0 panic=-1",
)
FILES = ubi_files(PLAN)
GEOMETRY = place_volumes(PLAN)
DEVICE_TYPE = "nandsim"
RELEASE = "etc/bistable-release"

_CHIP = "first_id_byte=0xec second_id_byte=0xa1 third_id_byte=0x00 fourth_id_byte=0x15"
"""128 MiB, blocks of 128 KiB, pages of 2 KiB, of which a quarter can be written by itself."""
_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "crc32c_generic",
    "nandsim",
    "ubi",
    "lzo",
    "deflate",
    "zstd",
    "ubifs",
)

_INIT = """#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in {modules}; do
    case $module in
        nandsim) insmod /lib/nandsim.ko {chip} && dd if=/dev/vda of=/dev/mtd0 bs={block} 2>/dev/null ;;
        ubi) insmod /lib/ubi.ko mtd=0 ;;
        *) insmod "/lib/$module.ko" ;;
    esac
done
for word in $(cat /proc/cmdline); do
    case $word in root=*) root=${{word#root=}} ;; esac
done
mount -t ubifs "$root" /new || reboot -f
mount --move /dev /new/dev
umount /sys
umount /proc
exec switch_root /new /sbin/init
"""
_APPLETS = "cat dd insmod mount reboot sh switch_root umount"
_START = "#!/bin/sh\nmount -t ubifs ubi0:data /data && mkdir -p /data/bistable\n"
_SETTINGS = """\
[device]
type = "nandsim"
data-dir = "/data/bistable"

[trust]
verify-keys = ["/etc/bistable/keys/release.pub"]
"""
_ENVIRONMENT = {
    "bistable_order": "a",
    "bistable_a_good": "1",
    "bistable_a_tries": "0",
    "bistable_b_good": "0",
    "bistable_b_tries": "0",
    "bistable_seen": "1",
}
_EPOCH = 1_700_000_000


@dataclass
class Nand:
    """The machine, and its chip as it is when the machine is off."""

    folder: Path
    hands: ProcessHands = field(init=False)
    slot: str = "a"

    def __post_init__(self) -> None:
        self.hands = ProcessHands(self._command, self.folder)
        self.device = LineDevice(self.hands)

    @cached_property
    def chip(self) -> Path:
        return self.folder / "nand.img"

    def image(self) -> UbiImage:
        return UbiImage(self.chip, PLAN)

    def boot(self, slot: str) -> str:
        """Start the kernel with the arguments that the boot script has for the slot."""
        self.slot = slot
        return self.device.boot()

    def off(self) -> None:
        """Switch off as a system does, and keep what is in the chip."""
        self.device.run("umount /data && mount -o remount,ro / && sync")
        self.device.run(f"dd if=/dev/mtd0 of=/dev/vda bs={FLASH.erase_block} 2>/dev/null && sync", seconds=300)
        self.device.cut_power()

    def _command(self, line: int) -> list[str]:
        folder = kernel_folder()
        arguments = re.search(rf"bootargs '(root=ubi0:rootfs-{self.slot} [^']*)'", FILES.script)
        assert arguments is not None
        return [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "768", "-nodefaults", "-display", "none",
            "-no-reboot", "-chardev", f"socket,id=line,fd={line}", "-serial", "chardev:line",
            "-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd"), "-append", arguments[1],
            "-drive", f"if=none,id=d0,format=raw,file={self.chip}", "-device", "virtio-blk-pci,drive=d0",
            "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile=",
        ]  # fmt: skip


@contextmanager
def nand(folder: Path) -> Iterator[Nand]:
    """A new device: slot a holds release-1, slot b is empty."""
    needs("ubinize", "mkfs.ubifs", "qemu-system-x86_64")
    device = Nand(folder)
    (folder / "rootfs.ubifs").symlink_to(release("release-1"))
    (folder / "boot.scr").write_bytes(build_script(FILES.script, PLAN.architecture))
    text = FILES.ubinize
    for counter, name in zip((2, 1), ENVIRONMENTS, strict=True):
        copy = ubootenv.build_copy(_ENVIRONMENT, PLAN.environment_size, counter=counter)
        (folder / f"{name}.bin").write_bytes(copy)
        text = text.replace(f"[{name}]\nmode=ubi\n", f"[{name}]\nmode=ubi\nimage={name}.bin\n")
    (folder / "ubinize.cfg").write_text(text)
    _run("ubinize", *FILES.ubinize_arguments, "-o", "ubi.img", "ubinize.cfg", folder=folder)
    image = (folder / "ubi.img").read_bytes()
    device.chip.write_bytes(image + b"\xff" * (FLASH.size - len(image)))
    try:
        yield device
    finally:
        device.hands.close()


def release(name: str) -> Path:
    """The file system of a slot that holds this release."""
    root = system("amd64")

    def make(path: Path) -> None:
        own = path.with_name("root")
        copied(root, own)
        shutil.rmtree(own / "boot")
        for file, text in {
            RELEASE: f"{name}\n",
            "etc/mender/artifact_info": f"artifact_name={name}\n",
            "etc/fw_env.config": FILES.fw_env,
            "etc/bistable/conf.d/40-boot.toml": FILES.client,
            "etc/bistable/conf.d/50-site.toml": _SETTINGS,
            "etc/bistable-start": _START,
        }.items():
            (own / file).parent.mkdir(parents=True, exist_ok=True)
            (own / file).write_text(text)
        (own / "etc" / "bistable-start").chmod(0o755)
        (own / "etc" / "bistable" / "keys").mkdir(exist_ok=True)
        shutil.copyfile(keys() / "release.pub", own / "etc" / "bistable" / "keys" / "release.pub")
        _run("mkfs.ubifs", *FILES.mkfs_arguments, "-r", str(own), "-o", str(path), folder=path.parent)
        shutil.rmtree(own)

    key = cache.digest(name, root.name, FILES.client, FILES.fw_env, Path(__file__), keys() / "release.pub")
    return cache.made("ubi-releases", key, make)


def artifact(folder: Path, name: str, image: Path) -> Path:
    """A signed artifact of that name with the file system."""
    path = folder / f"{name}.mender"
    request = rootfs_request(image, name=name, device_types=[DEVICE_TYPE])
    # UBIFS is compressed by itself.
    options = Options(codec=Codec.parse("none"), signer=read_signer(keys() / "release.key"), mtime=_EPOCH)
    write_artifact(path, request, options)
    return path


def kernel_folder() -> Path:
    """The distribution's kernel, not the one for clouds, which has no flash; and its first files."""
    archive = packages.Archive("amd64")
    chosen = [one for one in archive.get("linux-image-amd64") if one.name.startswith("linux-image-")]

    def make(folder: Path) -> None:
        folder.mkdir()
        whole = folder / "whole"
        whole.mkdir()
        archive.unpack(chosen, whole)
        image = next(whole.glob("boot/vmlinuz-*"))
        modules = {path.name.split(".")[0].replace("-", "_"): path for path in whole.glob("**/lib/modules/**/*.ko*")}
        kernel = Kernel(release=image.name.removeprefix("vmlinuz-"), image=image, modules=modules)
        (folder / "initrd").write_bytes(_first_files(kernel))
        shutil.copyfile(image, folder / "vmlinuz")
        shutil.rmtree(whole)

    return cache.made("ubi-kernel", cache.digest(*(one.file for one in chosen), Path(__file__)), make)


def _first_files(kernel: Kernel) -> bytes:
    order = loading_order(kernel, _MODULES)
    init = _INIT.format(modules=" ".join(order), chip=_CHIP, block=FLASH.erase_block)
    busybox = (system("amd64") / "usr" / "bin" / "busybox").read_bytes()
    files: dict[PurePosixPath, tuple[int, bytes]] = {
        PurePosixPath("init"): (stat.S_IFREG | 0o755, init.encode()),
        PurePosixPath("bin/busybox"): (stat.S_IFREG | 0o755, busybox),
        **{PurePosixPath("bin", name): (stat.S_IFLNK | 0o777, b"busybox") for name in _APPLETS.split()},
        **{PurePosixPath(name): (stat.S_IFDIR | 0o755, b"") for name in ("proc", "sys", "dev", "new")},
        **{PurePosixPath("lib", f"{name}.ko"): (stat.S_IFREG | 0o644, module_content(kernel, name)) for name in order},
    }
    return cpio.pack(files)


def _run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
