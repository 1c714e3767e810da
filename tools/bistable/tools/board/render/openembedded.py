"""What a build with OpenEmbedded needs: `bistable.conf`, and a file for kas for each release."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from bistable.artifact.limits import KIB, MIB
from bistable.tools.board.model import Board, Layer, Yocto
from bistable.tools.board.render.disk import DiskPlan
from bistable.tools.board.render.flash import FlashPlan
from bistable.tools.board.render.layoutfile import NAME
from bistable.tools.board.render.settings import own_settings
from bistable.tools.board.render.templates import rendered
from bistable.tools.boot.plan import Loader
from bistable.tools.disk.layout.model import ExtraPlace, ExtraWish, Fill, Layout

CONFIGURATION: Final = PurePosixPath("bistable.conf")
KAS: Final = PurePosixPath("kas")
FOLDER: Final = "BISTABLE_BOARD_FOLDER"
"""The variable with the place of `bistable.conf` itself."""

_UBOOTS: Final = frozenset({Loader.UBOOT, Loader.UBOOT_ENVIRONMENT})


def openembedded_files(board: Board, disk: DiskPlan | None, flash: FlashPlan | None) -> dict[PurePosixPath, bytes]:
    """Return path -> content of the files."""
    values = {
        "board": board,
        "folder": FOLDER,
        # The layer makes all disks that layouts describe, and nothing for raw flash and for what vendors lay out.
        "makes_disk": disk is not None,
        "variables": [] if disk is None else [*_disk(disk.layout), *_settings(board)],
        "flash": None if flash is None else _flash(flash),
        "own": dict(board.yocto.variables) if board.yocto is not None else {},
    }
    files = {CONFIGURATION: rendered("bistable.conf", values)}
    if board.yocto is not None:
        for release in board.yocto.releases:
            files[KAS / f"{release}.yml"] = _kas(board, board.yocto, release)
    return files


def _disk(layout: Layout) -> Iterator[tuple[str, str]]:
    """Yield the layer's variables, without their beginning, by which it makes the same disk."""
    boot = layout.boot
    yield "DEVICE_TYPE", layout.device_type
    yield "BOOTLOADER", boot.loader.value
    yield "ROOTFS_FSTYPE", layout.slots.filesystem.value
    yield "KERNEL", str(boot.kernel)
    if boot.initrd is not None:
        yield "INITRD", str(boot.initrd)
    yield "DEVICETREE", str(boot.devicetree or "")
    if unspeakable(layout):
        yield "LAYOUT", f"${{{FOLDER}}}/{NAME}"
        yield "SLOT_SIZE_MB", str(layout.slots.size // MIB)
        return
    yield "TRIES", str(boot.tries)
    yield "KERNEL_ARGS", boot.arguments
    if boot.loader in _UBOOTS:
        yield "UBOOT_DISK", boot.disk
        if boot.watchdog is not None:
            yield "UBOOT_WATCHDOG", boot.watchdog
        if boot.addresses:
            yield "UBOOT_ADDRESSES", " ".join(f"{name}={address:#x}" for name, address in boot.addresses.items())
    yield from _partitions(layout)


def _partitions(layout: Layout) -> Iterator[tuple[str, str]]:
    disk = layout.disk
    yield "PARTITION_TABLE", disk.table.value
    yield "DISK_SEED", disk.seed
    yield "STORAGE_SIZE_MB", "" if disk.size is None else str(disk.size // MIB)
    yield "ERASE_BLOCK_MB", str(disk.erase_block // MIB)
    if layout.blobs_end is not None:
        yield "BLOBS_END_MB", str(layout.blobs_end // MIB)
    if layout.blobs:
        yield "BLOBS", " ".join(f"{blob.file.name}:{blob.offset // KIB}" for blob in layout.blobs)
    yield "BOOT_SIZE_MB", str(layout.boot_partition_size // MIB)
    yield "SLOT_SIZE_MB", str(layout.slots.size // MIB)
    if layout.data.size is not None:
        yield "DATA_SIZE_MB", str(layout.data.size // MIB)
    if layout.extras:
        yield "EXTRA_PARTITIONS", " ".join(map(_extra, layout.extras))


def _extra(extra: ExtraWish) -> str:
    """Return the word for a partition; where it lies is said of those that do not lie behind the slots."""
    words = [extra.name, str(extra.size // MIB), extra.filesystem.value]
    return ":".join(words if extra.place is ExtraPlace.BEHIND else [*words, extra.place.value])


def unspeakable(layout: Layout) -> bool:
    """Return whether the layout says what the layer has no variable for."""
    disk, environment = layout.disk, layout.environment
    sizes = [disk.size, disk.erase_block, layout.boot_partition_size, layout.slots.size, layout.data.size]
    sizes += [layout.blobs_end, *(extra.size for extra in layout.extras)]
    return any(
        [
            any(size is not None and size % MIB for size in sizes),
            (disk.size is None) == (layout.data.size is None),
            environment.size is not None or environment.offsets is not None,
            bool(layout.boot_files) or layout.data.files is not None,
            any(extra.content is not None for extra in layout.extras),
            layout.slots.fill is not Fill.BOTH,
            bool(layout.blobs) and layout.blobs_end is None,
            any(blob.offset % KIB for blob in layout.blobs),
        ]
    )


def _flash(flash: FlashPlan) -> dict[str, str]:
    """Return variables of OpenEmbedded's own types of images."""
    return {
        "MKUBIFS_ARGS": " ".join(flash.made.mkfs_arguments),
        "UBINIZE_ARGS": " ".join(flash.made.ubinize_arguments),
    }


def _settings(board: Board) -> Iterator[tuple[str, str]]:
    names = own_settings(board)
    if names:
        yield "CONFIG_FILES", " ".join(f"${{{FOLDER}}}/{name}" for name in names)


def _kas(board: Board, yocto: Yocto, release: str) -> bytes:
    layers = [_layer(layer, release) for layer in yocto.layers]
    return rendered("kas.yml", {"board": board, "release": release, "machine": yocto.machine, "layers": layers})


def _layer(layer: Layer, release: str) -> dict[str, object]:
    branch, commit = layer.revisions[release]
    # kas takes a repository without a list of layers for one itself.
    inside = [] if layer.sublayers == (".",) else list(layer.sublayers)
    return {"name": layer.name, "url": layer.url, "branch": branch, "commit": commit, "inside": inside}
