"""The page of a board: what it is, how it boots, where everything lies, how it is built, flashed and tried."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from bistable.artifact.limits import KIB, MIB
from bistable.tools.board.catalogue import FOLDER as CATALOGUE
from bistable.tools.board.model import Board, Flow, Status, StorageKind, Vendor, Yocto
from bistable.tools.board.render.disk import DiskPlan
from bistable.tools.board.render.flash import FlashPlan
from bistable.tools.board.render.prose import reflowed
from bistable.tools.board.render.templates import rendered
from bistable.tools.board.render.vendor import UNIT, installed
from bistable.tools.boot.ubi import Flash
from bistable.tools.boot.ubigeometry import ENVIRONMENTS, SCRIPT, partition_size, slot_volume
from bistable.tools.disk.geometry import BOOT, DATA, ENVIRONMENT, SLOT_BOOTS, SLOTS, Partition

_FLOWS: Final[Mapping[Flow, str]] = {
    Flow.UBOOT: "a boot script of U-Boot",
    Flow.UBOOT_ENVIRONMENT: "a boot script of U-Boot, in U-Boot's own environment",
    Flow.GRUB: "GRUB",
    Flow.SYSTEMD_BOOT: "systemd-boot",
    Flow.EFI: "the UEFI firmware",
    Flow.RASPBERRY_PI: "the firmware of the Raspberry Pi",
    Flow.UBOOT_UBI: "a boot script of U-Boot",
    Flow.CUSTOM: "the vendor's boot loader",
}
_STORAGES: Final[Mapping[StorageKind, str]] = {
    StorageKind.EMMC: "eMMC",
    StorageKind.SD: "an SD card",
    StorageKind.NVME: "an NVMe disk",
    StorageKind.SATA: "a SATA disk",
    StorageKind.USB: "a USB disk",
    StorageKind.VIRTIO: "a virtio disk",
    StorageKind.NAND: "NAND flash",
}
_STATUSES: Final[Mapping[Status, str]] = {
    Status.BOOTED: "the conformance suite has passed on it",
    Status.CHECKED: "rendered, and checked against the documents below; not booted",
    Status.CONTRIBUTED: "written by somebody who has the board; not checked against documents",
}
_BOOTS: Final[Mapping[Flow, str]] = {
    Flow.UBOOT: "FAT: the boot script, and what the board's firmware reads",
    Flow.UBOOT_ENVIRONMENT: "FAT: the boot script, and what the board's firmware reads",
    Flow.GRUB: "FAT (EFI system partition): GRUB and its script",
    Flow.SYSTEMD_BOOT: "FAT (EFI system partition): systemd-boot, and the kernels of both slots",
    Flow.EFI: "FAT (EFI system partition): the kernels of both slots, and GRUB as a way out",
    Flow.RASPBERRY_PI: "FAT: `autoboot.txt`",
}
_OWN_ENVIRONMENTS: Final[Mapping[Flow, str]] = {
    Flow.UBOOT: "U-Boot has an environment of its own besides ({place}), which the script leaves alone.",
    Flow.UBOOT_ENVIRONMENT: "U-Boot usually keeps its environment elsewhere ({place}): `uboot.config` moves it.",
}
_MEANINGS: Final[Mapping[str, str]] = {
    "layout.toml": "the disk, for `bistable image build` and `bistable image files`",
    "disk.wks": "the same for wic of OpenEmbedded",
    "fstab": "lines for `/etc/fstab` in both slots",
    "fw_env.config": "where the environment is, for `fw_printenv` and `fw_setenv` in Linux",
    "uboot.config": "what U-Boot has to be built with",
    "bistable.conf": "variables for a build with OpenEmbedded",
    "kas": "the whole build, for kas",
    "conf.d": "settings of the client, for `/etc/bistable/conf.d`",
    "labgrid.yaml": "the board for labgrid",
    "labgrid-qemu.yaml": "the machine in QEMU for labgrid",
    "qemu.sh": "starts it in QEMU",
    "boot": "for the partition `boot`",
    "boot-a": "for the partition `boot-a`",
    "boot-b": "for the partition `boot-b`",
    "boot.cmd": "the boot script",
    "ubinize.cfg": "the volumes, for `ubinize`",
}

_MKIMAGE: Final[Mapping[str, str]] = {"amd64": "x86_64", "arm64": "arm64", "armhf": "arm", "riscv64": "riscv"}
"""What mkimage calls processors."""

_FOLDERS: Final[Mapping[str, str]] = {"scarthgap": "tmp-glibc", "wrynose": "tmp"}
"""TMPDIR by the series, without a distribution."""

_VOLUMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(ENVIRONMENTS, "a copy of U-Boot's environment"),
    SCRIPT: "the boot script, `boot.scr`",
    **{slot_volume(slot): f"slot {slot}" for slot in ("a", "b")},
    DATA: "mounted at `/data`: no update touches it",
}


def page(board: Board, disk: DiskPlan | None, flash: FlashPlan | None, files: Sequence[PurePosixPath]) -> bytes:
    """Return the text of the `README.md` of a board, whose other files are `files`."""
    values = {
        "board": board,
        "flow": board.boot.flow.value,
        "storage_kind": _STORAGES[board.storage.kind],
        "chooser": _FLOWS[board.boot.flow],
        "status": _STATUSES[board.status],
        "place": f"{CATALOGUE}/{board.key}",
        "image_is": "the disk image" if disk is not None else "`flash.ubi`" if flash is not None else "the vendor's",
        "handler": None if board.vendor is None else installed(board.vendor),
        "unit": None if board.vendor is None else _unit(board.vendor, files),
        "names_image": any("IMAGE" in step for step in board.steps),
        **({} if board.yocto is None else _deployed(board.yocto)),
        "flash": None if flash is None else _flash(flash),
        "nand": None if board.ubi is None else _nand(board.ubi.flash),
        "disk": disk,
        "storage": _storage(board, disk),
        "partitions": [] if disk is None else list(_partitions(board, disk)),
        "blobs": [] if disk is None else [(blob.file.name, size(blob.offset)) for blob in disk.layout.blobs],
        "environment": None if disk is None else _environment(disk),
        "own_environment": _own(board),
        "files": list(_files(board, files)),
    }
    return reflowed(rendered("README.md", values).decode()).encode()


def _deployed(yocto: Yocto) -> dict[str, str]:
    """Return where a build puts its files, and how the image's begin."""
    folders = (f"`build/{_FOLDERS[release]}/deploy/images/{yocto.machine}` ({release})" for release in yocto.releases)
    return {"deployed": " or ".join(folders), "image": f"core-image-minimal-{yocto.machine}.rootfs"}


def size(number: int) -> str:
    """Return bytes as people write them, exactly."""
    for unit, factor in (("MiB", MIB), ("KiB", KIB)):
        if number % factor == 0:
            return f"{number // factor} {unit}"
    return f"{number} bytes"


def _storage(board: Board, disk: DiskPlan | None) -> str:
    storage = board.storage
    said = f"{_STORAGES[storage.kind]}, `{storage.device}` in Linux, of at least {size(storage.capacity)}"
    if disk is None:
        return f"Slots and data lie on {said}."
    table = disk.geometry.table.value.upper()
    block = size(disk.layout.disk.erase_block)
    return (
        f"It is made for {said}, and takes {size(disk.geometry.size)}. The partition table is "
        f"{'a GPT' if table == 'GPT' else 'an MBR'}; partitions start at multiples of {block}."
    )


def _partitions(board: Board, disk: DiskPlan) -> Iterator[dict[str, object]]:
    for part in disk.geometry.partitions:
        yield {
            "number": part.number,
            "name": part.name,
            "start": size(part.start),
            "size": _size(disk, part),
            "holds": _holds(board, disk, part.name),
        }


def _size(disk: DiskPlan, part: Partition) -> str:
    """Return the size of a partition; one that takes the rest of the disk has no round one."""
    if part.name == DATA and disk.layout.data.size is None:
        return f"the rest, {part.size // MIB} MiB"
    return size(part.size)


def _holds(board: Board, disk: DiskPlan, name: str) -> str:
    fixed = {
        BOOT: _BOOTS.get(board.boot.flow, ""),
        ENVIRONMENT: "the boot loader's environment, twice",
        DATA: "ext4, mounted at `/data`: no update touches it",
        **{place: f"slot {place[-1]}" for place in SLOTS},
        **{place: f"FAT: firmware, kernel and command line of slot {place[-1]}" for place in SLOT_BOOTS},
    }
    if name in fixed:
        return fixed[name]
    extra = next(extra for extra in disk.layout.extras if extra.name == name)
    return {"none": "what the board needs there", "fat": "FAT"}.get(extra.filesystem.value, extra.filesystem.value)


def _environment(disk: DiskPlan) -> dict[str, object] | None:
    place = disk.plan.environment
    if place is None:
        return None
    start = disk.geometry.partition(ENVIRONMENT).start
    return {"size": size(place.size), "starts": [size(start + offset) for offset in place.offsets]}


def _flash(flash: FlashPlan) -> dict[str, object]:
    """Return what the page says of raw flash: partitions of it, and the volumes in one of them."""
    plan, geometry = flash.plan, flash.geometry
    return {
        "mkfs": " ".join(flash.made.mkfs_arguments),
        "mkimage": _MKIMAGE[plan.architecture],
        "ubinize": " ".join(flash.made.ubinize_arguments),
        "partition": plan.partition,
        "leb": size(geometry.leb),
        "reserved": geometry.reserved,
        "partitions": [
            (part.name, size(part.offset), size(partition_size(plan.flash, part))) for part in plan.flash.partitions
        ],
        "volumes": [
            (
                volume.number,
                volume.name,
                "what is left" if volume.grows else size(volume.blocks * geometry.leb),
                _VOLUMES[volume.name],
            )
            for volume in geometry.volumes
        ],
    }


def _nand(nand: Flash) -> dict[str, str]:
    return {"size": size(nand.size), "erase_block": size(nand.erase_block), "page": size(nand.page)}


def _own(board: Board) -> str | None:
    """Return what the page says of an environment that U-Boot has by itself, beside that of the slots."""
    own = None if board.uboot is None else board.uboot.environment
    words = _OWN_ENVIRONMENTS.get(board.boot.flow)
    if own is None or words is None or own.kind == "nowhere":
        return None
    place = f"`{own.kind}`"
    if own.offset is not None and own.size is not None:
        place += f", {size(own.size)} from {size(own.offset)} on"
    return words.format(place=place)


def _unit(vendor: Vendor, files: Sequence[PurePosixPath]) -> str | None:
    """Return the unit that the vendor's boot loader needs."""
    name = f"{vendor.handler}{UNIT}"
    return name if any(path.name == name for path in files) else None


def _files(board: Board, files: Sequence[PurePosixPath]) -> Iterator[tuple[str, str]]:
    """Yield path and meaning of each file, folders as one."""
    vendor = {}
    if board.vendor is not None:
        vendor[board.vendor.handler] = "how the client speaks to the boot loader"
        vendor[f"{board.vendor.handler}{UNIT}"] = "what the boot loader wants at each start, for systemd"
    meanings = {**_MEANINGS, **vendor}
    for path in dict.fromkeys(PurePosixPath(*path.parts[:2]) for path in files):
        yield str(path), meanings[path.name]
