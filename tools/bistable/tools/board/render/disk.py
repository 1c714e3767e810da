"""What a board with a disk has: all that `bistable image files` writes as text for its layout."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.image import Kind
from bistable.tools.board.render.settings import FOLDER
from bistable.tools.board.render.templates import commented
from bistable.tools.boot import prepare_scripts
from bistable.tools.boot.plan import BootFiles, BootPlan
from bistable.tools.disk.files.kickstart import KickstartTexts, kickstart, obstacle
from bistable.tools.disk.files.uboot import LOADERS as UBOOTS
from bistable.tools.disk.files.uboot import uboot_config
from bistable.tools.disk.files.write import KICKSTART, TABLE, UBOOT
from bistable.tools.disk.geometry import BOOT, Geometry, boot_plan, place
from bistable.tools.disk.layout.model import Layout
from bistable.tools.disk.system import Init, Mount, add_beside_table, mounts_of

_BINARY: Final = ".scr"
_TEXTS: Final = KickstartTexts(blob_dir="${DEPLOY_DIR_IMAGE}")
"""Where wic finds what is made elsewhere: all of it in the folder of deployed files."""
_WITHOUT_COMMENTS: Final = frozenset({"cmdline.txt", "options"})
"""Files of one line, all of which the kernel gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """A layout, where everything lies by it, and what boots it; `no_kickstart` says why wic cannot make it."""

    layout: Layout
    geometry: Geometry
    plan: BootPlan
    files: BootFiles
    mounts: tuple[Mount, ...]
    no_kickstart: str | None


def plan_disk(layout: Layout) -> DiskPlan:
    """Lay out the disk.

    Raises:
        RequestError: something overlaps or does not fit, or cannot be booted.
    """
    geometry = place(layout)
    plan = boot_plan(layout, geometry)
    return DiskPlan(
        layout=layout,
        geometry=geometry,
        plan=plan,
        files=prepare_scripts(plan),
        mounts=mounts_of(geometry, plan.loader, Init.SYSTEMD),
        no_kickstart=obstacle(layout, geometry, _TEXTS),
    )


def disk_files(disk: DiskPlan) -> dict[PurePosixPath, bytes]:
    """Return path -> content of the files beside `layout.toml`."""
    layout, geometry, plan = disk.layout, disk.geometry, disk.plan
    table = "".join(f"{mount.line}\n" for mount in disk.mounts)
    found = {PurePosixPath(TABLE): commented(table.encode()), **dict(_system(disk)), **dict(_boot(disk.files))}
    if disk.no_kickstart is None:
        found[PurePosixPath(KICKSTART)] = commented(kickstart(layout, geometry, plan, _TEXTS).encode())
    if plan.loader in UBOOTS:
        found[PurePosixPath(UBOOT)] = commented(uboot_config(layout, geometry, plan).encode())
    return found


def _boot(files: BootFiles) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield what a person can read of the boot partitions."""
    folders = {BOOT: files.boot, **{f"{BOOT}-{slot}": content for slot, content in files.slots.items()}}
    for folder, content in folders.items():
        for path, text in content.items():
            if path.suffix != _BINARY:
                yield folder / path, text if path.name in _WITHOUT_COMMENTS else commented(text)


def _system(disk: DiskPlan) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield what belongs into the system of both slots: settings of the client, and where the environment is."""
    system = _Collected()
    add_beside_table(system, disk.files.root, disk.mounts)
    for path, content in system.files.items():
        yield (FOLDER / path.name if FOLDER.name in path.parts else PurePosixPath(path.name)), commented(content)


@dataclass(frozen=True, slots=True)
class _Collected:
    """A root file system in which nothing is yet, that keeps the files that are put into it."""

    files: dict[PurePosixPath, bytes] = field(default_factory=dict)

    def kind(self, _path: str) -> Kind | None:
        return None

    def read(self, _path: str) -> bytes | None:
        return None

    def file(self, path: str, content: bytes | Path, *, mode: int = 0o644) -> None:
        del mode
        assert isinstance(content, bytes)
        self.files[PurePosixPath(path)] = content

    def directory(self, path: str, *, mode: int = 0o755) -> None:
        """Directories are made by the files in them."""

    def link(self, path: str, target: str) -> None:
        """Links are no settings."""
