"""The distribution's kernel: its image, and those of its modules that a booted test needs, in the order of loading."""

import lzma
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.qemu.rootfs.packages import Archive

PACKAGE: Final[Mapping[str, str]] = {
    "amd64": "linux-image-cloud-amd64",
    "arm64": "linux-image-cloud-arm64",
    "armhf": "linux-image-armmp",
}
"""The kernels made for virtual machines, where there is one: they are smaller and start faster."""

DISK_MODULES: Final = ("virtio_pci", "virtio_mmio", "virtio_blk", "crc32c_generic", "ext4", "squashfs")
"""What has to be in the initramfs to see the disk and its root filesystem; what is built in is passed over."""

SYSTEM_MODULES: Final = (
    "virtio_net",
    "virtio_rng",
    "nls_cp437",
    "nls_iso8859_1",
    "nls_ascii",
    "vfat",
    "efivarfs",
    "softdog",
    "i6300esb",
)
"""What the system itself loads. A kernel that lacks one does without: the cloud's has no i6300esb, for example."""

_DEPENDS: Final = re.compile(rb"(?<=\0)depends=([^\0]*)\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """An unpacked kernel."""

    release: str
    image: Path
    modules: Mapping[str, Path]
    """Name, with underscores, -> file."""


def get_kernel(archive: Archive, architecture: str, folder: Path) -> Kernel:
    """Unpack the kernel below `folder` and return what is in it.

    Raises:
        MachineError: the package cannot be had.
    """
    folder.mkdir()
    name = PACKAGE[architecture]
    packages = [one for one in archive.get(name) if one.name.startswith("linux-image-")]
    archive.unpack(packages, folder)
    images = sorted(folder.glob("boot/vmlinuz-*"))
    if len(images) != 1:
        raise MachineError(f"cannot use the kernel of {name}: it holds {len(images)} images, not one")
    release = images[0].name.removeprefix("vmlinuz-")
    found = {_name(path): path for path in sorted(folder.glob("**/lib/modules/*/**/*.ko*"))}
    return Kernel(release=release, image=images[0], modules=found)


def loading_order(kernel: Kernel, wanted: Iterable[str]) -> list[str]:
    """Return the wanted modules that the kernel has, each after those that it depends on."""
    order: list[str] = []

    def add(name: str) -> None:
        if name in order or name not in kernel.modules:
            return
        for other in _dependencies(kernel.modules[name]):
            add(other)
        order.append(name)

    for name in wanted:
        add(name)
    return order


def module_content(kernel: Kernel, name: str) -> bytes:
    """Return a module as `insmod` of busybox takes it: not compressed."""
    content = kernel.modules[name].read_bytes()
    return lzma.decompress(content) if kernel.modules[name].suffix == ".xz" else content


def add_image(kernel: Kernel, root: Path) -> None:
    """Put the kernel's image where the boot scripts look for it."""
    (root / "boot").mkdir(exist_ok=True)
    shutil.copyfile(kernel.image, root / "boot" / "vmlinuz")


def _dependencies(module: Path) -> list[str]:
    content = module.read_bytes()
    found = _DEPENDS.search(lzma.decompress(content) if module.suffix == ".xz" else content)
    return [one.replace("-", "_") for one in found[1].decode("ascii").split(",") if one] if found else []


def _name(path: Path) -> str:
    return path.name.removesuffix(".xz").removesuffix(".ko").replace("-", "_")
