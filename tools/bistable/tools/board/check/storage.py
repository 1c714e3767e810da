"""The storage: that Linux and U-Boot mean the same one."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.model import Flow, StorageKind

_NODES: Final[Mapping[StorageKind, tuple[str, str]]] = {
    StorageKind.EMMC: (r"/dev/mmcblk[0-9]+", "/dev/mmcblk0"),
    StorageKind.SD: (r"/dev/mmcblk[0-9]+", "/dev/mmcblk0"),
    StorageKind.NVME: (r"/dev/nvme[0-9]+n[0-9]+", "/dev/nvme0n1"),
    StorageKind.SATA: (r"/dev/sd[a-z]+", "/dev/sda"),
    StorageKind.USB: (r"/dev/sd[a-z]+", "/dev/sda"),
    StorageKind.VIRTIO: (r"/dev/vd[a-z]+", "/dev/vda"),
    StorageKind.NAND: (r"/dev/(mtd|ubi)[0-9]+", "/dev/mtd0"),
}
"""How Linux calls each kind, the whole of it: no partition of it."""

_INTERFACES: Final[Mapping[StorageKind, tuple[str, ...]]] = {
    StorageKind.EMMC: ("mmc",),
    StorageKind.SD: ("mmc",),
    StorageKind.NVME: ("nvme",),
    StorageKind.SATA: ("sata", "scsi"),
    StorageKind.USB: ("usb",),
    StorageKind.VIRTIO: ("virtio",),
}
_UBOOTS: Final = frozenset({Flow.UBOOT, Flow.UBOOT_ENVIRONMENT})


def check_storage(facts: Facts) -> Iterator[Finding]:
    """Yield what contradicts itself in what the board says of its storage."""
    board = facts.board
    kind, device = board.storage.kind, board.storage.device
    pattern, example = _NODES[kind]
    if (kind is StorageKind.NAND) is not (board.boot.flow is Flow.UBOOT_UBI):
        yield facts.error(
            "storage",
            "kind",
            f"{kind.value} does not go with [boot] loader = {board.boot.flow.value!r}",
            "raw NAND needs the loader uboot-ubi, and only that one has slots on it",
        )
    # Links of udev name the same thing in ways that only the machine knows.
    elif not re.fullmatch(pattern, device) and not device.startswith("/dev/disk/"):
        partition = re.match(pattern, device)
        yield facts.error(
            "storage",
            "device",
            f"{device} is a part of {kind.value} storage, not the whole"
            if partition
            else f"{device} is no {kind.value} storage",
            f'write the whole of it, such as "{example if partition is None else partition[0]}"',
        )
    if board.boot.flow in _UBOOTS and board.layout is not None:
        yield from _interface(facts, board.layout.boot.disk)


def _interface(facts: Facts, disk: str) -> Iterator[Finding]:
    storage = facts.board.storage
    allowed = _INTERFACES.get(storage.kind, ())
    words = disk.split()
    if not re.fullmatch(r"[a-z]+ [0-9]", disk):
        yield facts.error(
            "boot",
            "disk",
            f"{disk!r} is not how U-Boot names a disk: by interface and number",
            f'write disk = "{allowed[0] if allowed else "mmc"} 0"',
        )
        return
    if allowed and words[0] not in allowed:
        yield facts.error(
            "boot",
            "disk",
            f"U-Boot's {disk} is no {storage.kind.value} storage, which [storage] names",
            f'write disk = "{allowed[0]} 0" with the number that `{allowed[0]} info` or `{allowed[0]} dev` shows',
        )
        return
    node = re.fullmatch(r"/dev/mmcblk([0-9]+)", storage.device)
    if node and words[1] != node[1]:
        yield facts.warning(
            "boot",
            "disk",
            f"U-Boot calls it {disk} and Linux {storage.device}: they may number differently, or one of both is "
            "another storage",
            "look at the aliases mmc0, mmc1, ... in both device trees, and say in a comment that they differ",
        )
