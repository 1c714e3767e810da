"""Disks for boards of the catalogue that QEMU runs: their own layout, with the harness's small system in slot a."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bistable.artifact.limits import MIB
from bistable.qemu import cache
from bistable.qemu.rig import RELEASE_FILE, SLOT_MIB, keys
from bistable.qemu.rig import __file__ as _rig
from bistable.qemu.rootfs.build import Profile, copied, system
from bistable.tools.board.catalogue import find_board
from bistable.tools.board.model import Board
from bistable.tools.boot import __file__ as _boot
from bistable.tools.boot.plan import Loader
from bistable.tools.disk import BuildOptions, Outputs, build_disk
from bistable.tools.disk import __file__ as _disk
from bistable.tools.disk.layout.model import Fill, Layout

EPOCH = 1_700_000_000
KERNEL = PurePosixPath("/boot/vmlinuz")
INITRD = PurePosixPath("/boot/initrd.img")
SETTINGS = """\
[trust]
verify-keys = ["/etc/bistable/keys/release.pub"]
"""
BOOT_MIB = 8
"""Of the boot partition, where no kernels lie on it: it is quicker to make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardDisk:
    """A board as it is tested here, and a disk image for it; the file is shared: nobody writes to it."""

    board: Board
    image: Path
    key: Path


def board_disk(name: str, profile: Profile = Profile.SMALL) -> BoardDisk:
    """Return the disk of a board: what differs from its layout are sizes, and where the kernel of the harness lies.

    Raises:
        MachineError: packages or tools are missing.
    """
    found = find_board(name)
    assert found.layout is not None
    layout = _layout(found.layout, profile)
    boot = replace(found.boot, kernel=KERNEL, initrd=INITRD)
    root = system(layout.boot.architecture, profile)
    code = [path for module in (_boot, _disk, _rig, __file__) for path in _sources(module)]
    key = cache.digest(repr(layout), root.name, keys() / "release.pub", *code)

    def make(folder: Path) -> None:
        folder.mkdir()
        own = folder / "root"
        copied(root, own)
        _personalise(own)
        build_disk(layout, own, Outputs(disk=folder / "disk.img", block_map=False), BuildOptions(epoch=EPOCH))
        shutil.rmtree(own)

    folder = cache.made(f"board-{found.key}", key, make, kept=2)
    return BoardDisk(
        board=replace(found, layout=layout, boot=boot), image=folder / "disk.img", key=keys() / "release.key"
    )


def _layout(layout: Layout, profile: Profile) -> Layout:
    slots = SLOT_MIB[profile][layout.boot.architecture] * MIB
    boot_size = layout.boot_partition_size
    if layout.boot.loader not in {Loader.SYSTEMD_BOOT, Loader.EFI}:
        boot_size = BOOT_MIB * MIB
    return replace(
        layout,
        boot=replace(layout.boot, kernel=KERNEL, initrd=INITRD),
        boot_partition_size=boot_size,
        slots=replace(layout.slots, size=slots, fill=Fill.FIRST),
        data=replace(layout.data, size=32 * MIB),
    )


def _personalise(root: Path) -> None:
    """Make the system one of a device: what it is, and what it trusts."""
    (root / "etc/mender/scripts").mkdir(parents=True, exist_ok=True)
    (root / "etc/mender/scripts/version").write_text("3")
    (root / "etc/mender/artifact_info").write_text("artifact_name=release-1\n")
    (root / RELEASE_FILE.lstrip("/")).write_text("release-1\n")
    (root / "etc/bistable/conf.d/50-site.toml").write_text(SETTINGS)
    (root / "etc/bistable/keys").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(keys() / "release.pub", root / "etc/bistable/keys/release.pub")


def _sources(module: str) -> list[Path]:
    path = Path(module)
    if path.name != "__init__.py":
        return [path]
    return sorted(one for one in path.parent.rglob("*") if one.suffix in {".py", ".jinja", ".toml"})
