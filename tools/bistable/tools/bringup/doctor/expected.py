"""What a device has to be like by its board: taken from what is rendered of it."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from bistable.tools.board.model import Board, Flow
from bistable.tools.board.render import render_board
from bistable.tools.board.render.disk import DiskPlan, plan_disk
from bistable.tools.board.render.flash import FlashPlan, plan_flash
from bistable.tools.board.render.layoutfile import FOLDER, rendered_layout
from bistable.tools.boot.state import names_of
from bistable.tools.boot.ubifiles import SLOTS, mtdparts
from bistable.tools.boot.ubigeometry import slot_volume
from bistable.tools.disk.geometry import BOOT

RENDERED: Final = FOLDER
SETTINGS: Final = PurePosixPath("/etc/bistable/conf.d")
ENVIRONMENT: Final = PurePosixPath("fw_env.config")
TABLE: Final = PurePosixPath("fstab")

_UBOOTS: Final = frozenset({Flow.UBOOT, Flow.UBOOT_ENVIRONMENT, Flow.UBOOT_UBI})


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of the boot loader's environment, as a line of fw_env.config names it."""

    device: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.device} {self.offset:#x} {self.size:#x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountLine:
    """A line of fstab."""

    source: str
    point: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A board, and what follows from it for a device. Of `disk`, `flash` and `board.vendor` there is one."""

    board: Board
    disk: DiskPlan | None
    flash: FlashPlan | None
    roots: Mapping[str, str]
    """Slot -> `root=` of the kernel; empty where the vendor's boot loader says it."""
    arguments: tuple[str, ...]
    """What the kernel gets besides."""
    copies: tuple[Copy, ...]
    variables: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]
    """File of the device -> what it says."""
    mounts: tuple[MountLine, ...]
    files: Mapping[str, str]
    """What has to be in the running slot: file -> what it is."""

    @property
    def device_type_file(self) -> str | None:
        """Return the file with the type of the device; None: the settings say it."""
        for settings in self.settings.values():
            if found := settings.get("device", {}).get("device-type-file"):
                return str(found)
        return None

    @property
    def boot_files(self) -> Mapping[PurePosixPath, bytes]:
        """Return what the boot partition holds and no update changes."""
        changing = {PurePosixPath("autoboot.txt")}
        files = {} if self.disk is None else self.disk.files.boot
        return {path: text for path, text in files.items() if path not in changing and "entries" not in path.parts}

    @property
    def boot_partition(self) -> str | None:
        """Return the PARTUUID of the boot partition, if there is one."""
        return None if self.disk is None else self.disk.geometry.partition(BOOT).uuid


def expected_of(board: Board) -> Expected:
    """Return what a device has to be like.

    Raises:
        RequestError: what the board says cannot be.
    """
    files = render_board(board)
    disk = None if board.layout is None else plan_disk(rendered_layout(board))
    flash = None if board.ubi is None else plan_flash(board, board.ubi)
    settings = {
        str(SETTINGS / path.name): tomllib.loads(content.decode())
        for path, content in files.items()
        if path.parent.name == SETTINGS.name and path.suffix == ".toml"
    }
    return Expected(
        board=board,
        disk=disk,
        flash=flash,
        roots=dict(_roots(disk, flash)),
        arguments=tuple(_arguments(board, flash)),
        copies=tuple(parse_copies(_text(files, ENVIRONMENT))),
        variables=names_of(SLOTS) if board.boot.flow in _UBOOTS else (),
        settings=settings,
        mounts=tuple(parse_mounts(_text(files, TABLE))),
        files=dict(_files(board, settings)),
    )


def parse_copies(text: str) -> Iterator[Copy]:
    """Yield the copies that a fw_env.config names; a line that names none is passed over."""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 3:
            try:
                yield Copy(device=words[0], offset=int(words[1], 0), size=int(words[2], 0))
            except ValueError:
                continue


def parse_mounts(text: str) -> Iterator[MountLine]:
    """Yield the lines of an fstab."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and not words[0].startswith("#"):
            yield MountLine(source=words[0], point=words[1], line=line)


def _text(files: Mapping[PurePosixPath, bytes], path: PurePosixPath) -> str:
    return files.get(RENDERED / path, b"").decode()


def _roots(disk: DiskPlan | None, flash: FlashPlan | None) -> Iterator[tuple[str, str]]:
    if disk is not None:
        for slot in disk.plan.slots:
            yield slot.name, slot.root
    if flash is not None:
        for name in SLOTS:
            yield name, f"ubi0:{slot_volume(name)}"


def _arguments(board: Board, flash: FlashPlan | None) -> Iterator[str]:
    yield from board.boot.arguments.split()
    if flash is not None:
        yield from (f"ubi.mtd={flash.plan.partition}", mtdparts(flash.plan.flash))


def _files(board: Board, settings: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    if board.vendor is None:
        boot = board.boot
        wanted = {"kernel": boot.kernel, "initial RAM disk": boot.initrd, "device tree": boot.devicetree}
        yield from ((str(path), what) for what, path in wanted.items() if path is not None)
    for content in settings.values():
        if handler := content.get("boot", {}).get("handler"):
            yield str(handler), "program that speaks to the boot loader"
