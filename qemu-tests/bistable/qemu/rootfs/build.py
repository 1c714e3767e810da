"""Root filesystems for booted tests: by architecture and profile, made once and kept."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bistable.qemu import cache
from bistable.qemu.rootfs import client, initramfs, kernel, packages, small, systemd
from bistable.tools.disk import Start

# Once, when it is loaded: what runs is not what was written to the files since.
_CODE: Final = cache.digest(*sorted(Path(__file__).parent.glob("*.py")))
_MERGED: Final = ("bin", "sbin", "lib", "lib64")
"""Since 2019 a distribution has these as links into /usr; packages may still ship files by the old names."""


class Profile(StrEnum):
    """What kind of system it is."""

    SMALL = "small"
    """busybox and a script: for nearly all tests."""
    SYSTEMD = "systemd"
    """systemd, with our service."""
    SYSTEMD_BY_HAND = "systemd-by-hand"
    """systemd, for a device on which people lead updates: what is in progress is seen to at boot, without a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a profile is made of."""

    packages: tuple[str, ...]
    add_system: Callable[[Path], None]
    start: Start
    """What of the client is started at boot."""


def _with_systemd(start: Start) -> Recipe:
    return Recipe(packages=tuple(systemd.PACKAGES.split()), add_system=systemd.add_system, start=start)


RECIPES: Final[Mapping[Profile, Recipe]] = {
    Profile.SMALL: Recipe(packages=tuple(small.PACKAGES.split()), add_system=small.add_system, start=Start.BY_HAND),
    Profile.SYSTEMD: _with_systemd(Start.SERVICE),
    Profile.SYSTEMD_BY_HAND: _with_systemd(Start.BY_HAND),
}


def base_system(architecture: str, profile: Profile = Profile.SMALL) -> Path:
    """Return the folder of a system without our client: packages, kernel, initramfs, start script. Not to be changed.

    Raises:
        MachineError: packages cannot be had, or a tool is missing.
    """
    recipe = RECIPES[profile]
    archive = packages.Archive(architecture)
    chosen = archive.get(*recipe.packages)
    key = cache.digest(profile, *(one.file for one in chosen), _CODE)

    def make(root: Path) -> None:
        root.mkdir()
        for name in _MERGED:
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        archive.unpack(chosen, root)
        _add_kernel(archive, architecture, root)
        recipe.add_system(root)
        client.compile_library(root)
        client.compile_python(root, root / "usr" / "lib" / "python3")

    return cache.made(f"base-{profile}-{architecture}", key, make)


def system(architecture: str, profile: Profile = Profile.SMALL) -> Path:
    """Return the folder of a system with our client, as its wheel installs it. Not to be changed: see `copied`.

    Raises:
        MachineError: packages cannot be had, or a tool is missing.
    """
    base, wheel = base_system(architecture, profile), client.build_wheel()
    key = cache.digest(base.name, wheel, _CODE)

    def make(root: Path) -> None:
        copied(base, root)
        client.install(wheel, root, RECIPES[profile].start)
        client.compile_python(root, root / "usr" / "lib" / "python3" / "dist-packages" / "bistable")

    return cache.made(f"system-{profile}-{architecture}", key, make)


def copied(root: Path, target: Path) -> None:
    """Copy a system, to change it."""
    shutil.copytree(root, target, symlinks=True, copy_function=_copy)


def _add_kernel(archive: packages.Archive, architecture: str, root: Path) -> None:
    found = kernel.get_kernel(archive, architecture, root.parent / "kernel")
    kernel.add_image(found, root)
    busybox = (root / "usr" / "bin" / "busybox").read_bytes()
    (root / "boot" / "initrd.img").write_bytes(initramfs.make_initramfs(found, busybox))
    order = kernel.loading_order(found, kernel.SYSTEM_MODULES)
    brought = set(kernel.loading_order(found, kernel.DISK_MODULES))
    order = [name for name in order if name not in brought]
    folder = root / "usr" / "lib" / "bistable-modules"
    folder.mkdir()
    for name in order:
        (folder / f"{name}.ko").write_bytes(kernel.module_content(found, name))
    (folder / "order").write_text("".join(f"{name}\n" for name in order), "ascii")
    shutil.rmtree(root.parent / "kernel")


def _copy(source: str, target: str) -> str:
    """Copy a file with its mode and times; where the file system can, both share the blocks until one is changed."""
    shutil.copy2(source, target, follow_symlinks=False)
    return target
