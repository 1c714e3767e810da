"""What follows from what was said of a new board."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bistable.tools.board.check.starting import KERNELS
from bistable.tools.board.create.wish import Wish
from bistable.tools.board.model import UBOOTS, Board, Flow, Status, StorageKind

_USUAL_SPEED: Final = 115200
_INTERFACES: Final[Mapping[StorageKind, str]] = {
    StorageKind.EMMC: "mmc",
    StorageKind.SD: "mmc",
    StorageKind.NVME: "nvme",
    StorageKind.SATA: "scsi",
    StorageKind.USB: "usb",
    StorageKind.VIRTIO: "virtio",
}
_NODES: Final[Mapping[StorageKind, str]] = {
    StorageKind.EMMC: "/dev/mmcblk0",
    StorageKind.SD: "/dev/mmcblk0",
    StorageKind.NVME: "/dev/nvme0n1",
    StorageKind.SATA: "/dev/sda",
    StorageKind.USB: "/dev/sda",
    StorageKind.VIRTIO: "/dev/vda",
    StorageKind.NAND: "/dev/mtd0",
}
"""The first of each kind, which is what most boards have."""

_LATE: Final = frozenset({StorageKind.EMMC, StorageKind.SD, StorageKind.USB})


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value, and what is to be said of it; None: the key is left out."""

    content: Any
    remark: str | None = None


def said_values(wish: Wish, base: Board, key: str) -> dict[str, dict[str, Value]]:
    """Return table -> key -> value of what the new board does not take from `base` as it is."""
    kind = StorageKind(wish.storage or base.storage.kind)
    found: dict[str, dict[str, Value]] = {
        "board": {
            "name": Value(content=wish.name),
            "soc": Value(content=wish.soc),
            "page": Value(content=wish.page),
            "status": Value(content=Status.CONTRIBUTED.value),
            "limits": Value(content=["Nothing of it was tried yet."], remark="write what you know"),
        },
        "device": {"type": Value(content=wish.device_type or key)},
        "storage": _storage(wish, base, kind),
        "boot": _boot(wish, base, kind),
        "console": _console(wish),
    }
    if wish.capacity is not None and base.layout is not None and base.layout.disk.size is not None:
        found["disk"] = {"size": Value(content=wish.capacity)}
    if base.yocto is not None:
        machine = Value(content=wish.machine or key, remark=None if wish.machine else "a guess: check")
        found["yocto"] = {"machine": machine}
    if base.watchdog is not None and Flow(wish.loader or base.boot.flow) not in UBOOTS:
        found["watchdog"] = {"uboot": Value(content=None)}
    return found


def _storage(wish: Wish, base: Board, kind: StorageKind) -> dict[str, Value]:
    found = {}
    if wish.storage is not None:
        found["kind"] = Value(content=wish.storage)
    if wish.device is not None:
        found["device"] = Value(content=wish.device)
    elif kind != base.storage.kind:
        found["device"] = Value(content=_NODES[kind], remark="a guess: check")
    if wish.capacity is not None:
        found["capacity"] = Value(content=wish.capacity)
    return found


def _console(wish: Wish) -> dict[str, Value]:
    if wish.console is None:
        return {}
    device, _, speed = wish.console.partition(",")
    return {
        "device": Value(content=device),
        "speed": Value(content=int(speed) if speed and int(speed) != _USUAL_SPEED else None),
    }


def _boot(wish: Wish, base: Board, kind: StorageKind) -> dict[str, Value]:
    found = {}
    architecture = wish.architecture or base.boot.architecture
    if wish.loader is not None:
        found["loader"] = Value(content=wish.loader)
    if wish.architecture is not None:
        found["architecture"] = Value(content=wish.architecture)
    if wish.kernel is not None:
        found["kernel"] = Value(content=wish.kernel)
    elif architecture != base.boot.architecture:
        kernel = base.boot.kernel.with_name(KERNELS[architecture][1])
        found["kernel"] = Value(content=str(kernel), remark="a guess: check")
    if wish.devicetree is not None:
        found["devicetree"] = Value(content=wish.devicetree)
    elif architecture == "amd64":
        found["devicetree"] = Value(content=None)
    arguments = _arguments(wish, base, kind)
    if arguments != base.boot.arguments:
        found["arguments"] = Value(content=arguments, remark=f"but for the console as {base.key} has them: check")
    if Flow(wish.loader or base.boot.flow) in UBOOTS and base.layout is not None and _moves(wish, base, kind):
        found["disk"] = Value(content=_disk(wish, kind), remark="a guess: check")
    return found


def _moves(wish: Wish, base: Board, kind: StorageKind) -> bool:
    """Return whether U-Boot calls the storage otherwise than on the other board."""
    return kind != base.storage.kind or wish.device not in {None, base.storage.device}


def _disk(wish: Wish, kind: StorageKind) -> str:
    number = re.search(r"mmcblk([0-9])", wish.device or _NODES[kind])
    return f"{_INTERFACES[kind]} {number[1] if number else 0}"


def _arguments(wish: Wish, base: Board, kind: StorageKind) -> str:
    words = base.boot.arguments.split()
    if wish.console is not None:
        device, _, speed = wish.console.partition(",")
        words = [word for word in words if not word.startswith("console=")]
        words.insert(0, f"console={device},{speed or _USUAL_SPEED}")
    if kind in _LATE and base.boot.initrd is None and "rootwait" not in words:
        words.append("rootwait")
    return " ".join(words)
