"""Disks for boards of the catalogue that QEMU runs: their own layout, with the harness's small system in slot a."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from bistable.qemu import cache
from bistable.qemu.rig import RELEASE_FILE, SLOT_MIB, keys
from bistable.qemu.rig import __file__ as _rig
from bistable.qemu.rootfs import initramfs, kernel, packages
from bistable.qemu.rootfs.build import Profile, copied, system
from bistable.tools.board.catalogue import catalogue_folder
from bistable.tools.board.load import load_board
from bistable.tools.board.model import FILE_NAME, Board
from bistable.tools.boot import __file__ as _boot
from bistable.tools.boot.plan import Loader
from bistable.tools.disk import BuildOptions, Outputs, build_disk
from bistable.tools.disk import __file__ as _disk

EPOCH = 1_700_000_000
KERNEL = 'kernel = "/boot/vmlinuz"\ninitrd = "/boot/initrd.img"'
"""Where the harness's system has them."""

SETTINGS = """\
[trust]
verify-keys = ["/etc/bistable/keys/release.pub"]
"""
BOOT_MIB = 8
"""Of the boot partition, where no kernels lie on it: it is quicker to make."""

DATA_MIB = 32
LARGER_KERNEL_MIB = 16
"""What a kernel for all machines takes more than one for virtual ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardDisk:
    """A folder with a board as it is tested here, and a disk image for it; both are shared: nobody writes to them."""

    folder: Path
    image: Path
    key: Path

    @property
    def board(self) -> Board:
        """Return the board."""
        return load_board(self.folder)


def board_disk(name: str, kernel_package: str | None = None, profile: Profile = Profile.SMALL) -> BoardDisk:
    """Return the disk of a board: what differs from its layout are sizes, and where the kernel of the harness lies.

    Raises:
        MachineError: packages or tools are missing.
    """
    board = load_board(catalogue_folder() / name)
    text = _adapted(board, profile, larger=kernel_package is not None)
    root = system(board.boot.architecture, profile)
    code = [path for module in (_boot, _disk, _rig, __file__) for path in _sources(module)]
    key = cache.digest(text, root.name, str(kernel_package), keys() / "release.pub", *code)

    def make(place: Path) -> None:
        folder = place / name
        folder.mkdir(parents=True)
        (folder / FILE_NAME).write_text(text, "utf-8")
        layout = load_board(folder).layout
        assert layout is not None
        own = place / "root"
        copied(root, own)
        if kernel_package is not None:
            _change_kernel(own, board.boot.architecture, kernel_package, place / "kernel")
        _personalise(own)
        build_disk(layout, own, Outputs(disk=place / "disk.img", block_map=False), BuildOptions(epoch=EPOCH))
        shutil.rmtree(own)

    place = cache.made(f"board-{name}", key, make, kept=2)
    return BoardDisk(folder=place / name, image=place / "disk.img", key=keys() / "release.key")


def _adapted(board: Board, profile: Profile, *, larger: bool) -> str:
    """Return the text of the board, with other sizes and kernel: what is written, read and hashed takes long."""
    text = (board.folder / FILE_NAME).read_text("utf-8")
    text = re.sub(r"(?m)^(kernel|initrd) = .*\n", "", text)
    text = text.replace("[boot]\n", f"[boot]\n{KERNEL}\n", 1)
    more = LARGER_KERNEL_MIB if larger else 0
    sizes = {"slots": SLOT_MIB[profile][board.boot.architecture] + more, "data": DATA_MIB}
    if board.boot.flow.loader not in {Loader.SYSTEMD_BOOT, Loader.EFI}:
        sizes["boot-partition"] = BOOT_MIB
    for table, size in sizes.items():
        text, count = re.subn(rf"(?ms)^(\[{table}\]\n(?:(?!\[).)*?)size = .*?$", rf'\g<1>size = "{size} MiB"', text)
        assert count == 1, table
    return text.replace("[slots]\n", '[slots]\nfill = "first"\n', 1)


def _change_kernel(root: Path, architecture: str, package: str, folder: Path) -> None:
    """Put another kernel of the distribution in, one that has a driver for the board's own watchdog."""
    folder.mkdir()
    archive = packages.Archive(architecture)
    archive.unpack([one for one in archive.get(package) if one.name.startswith("linux-image-")], folder)
    image = next(folder.glob("boot/vmlinuz-*"))
    modules = {path.name.partition(".")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    found = kernel.Kernel(release=image.name.removeprefix("vmlinuz-"), image=image, modules=modules)
    kernel.add_image(found, root)
    busybox = (root / "usr/bin/busybox").read_bytes()
    (root / "boot/initrd.img").write_bytes(initramfs.make_initramfs(found, busybox))
    brought = kernel.loading_order(found, kernel.DISK_MODULES)
    # Whichever driver comes first has /dev/watchdog0.
    wanted = [name for name in kernel.SYSTEM_MODULES if name != "softdog"]
    order = [name for name in kernel.loading_order(found, wanted) if name not in brought]
    place = root / "usr/lib/bistable-modules"
    for old in place.glob("*.ko"):
        old.unlink()
    for name in order:
        (place / f"{name}.ko").write_bytes(kernel.module_content(found, name))
    (place / "order").write_text("".join(f"{name}\n" for name in order), "ascii")
    shutil.rmtree(folder)


def _personalise(root: Path) -> None:
    """Make the system one of a device: what it is, and what it trusts."""
    files = {
        "etc/mender/scripts/version": "3",
        "etc/mender/artifact_info": "artifact_name=release-1\n",
        RELEASE_FILE.lstrip("/"): "release-1\n",
        "etc/bistable/conf.d/50-site.toml": SETTINGS,
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "ascii")
    (root / "etc/bistable/keys").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(keys() / "release.pub", root / "etc/bistable/keys/release.pub")


def _sources(module: str) -> list[Path]:
    path = Path(module)
    if path.name != "__init__.py":
        return [path]
    return sorted(one for one in path.parent.rglob("*") if one.suffix in {".py", ".jinja", ".toml"})
