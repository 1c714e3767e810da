"""The page with the table of all boards."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from bistable.tools.board.model import Board, StorageKind
from bistable.tools.board.render.prose import reflowed
from bistable.tools.board.render.templates import rendered

PAGE: Final = PurePosixPath("README.md")
_STORAGES: Final[Mapping[StorageKind, str]] = {
    StorageKind.EMMC: "eMMC",
    StorageKind.SD: "SD card",
    StorageKind.NVME: "NVMe",
    StorageKind.SATA: "SATA",
    StorageKind.USB: "USB",
    StorageKind.VIRTIO: "virtio",
    StorageKind.NAND: "NAND",
}


def render_catalogue(boards: Sequence[Board]) -> Mapping[PurePosixPath, bytes]:
    """Return path (in the folder of all boards) -> content of what follows from all of them."""
    return {
        PAGE: reflowed(
            rendered("catalogue.md", {"boards": [(board, _STORAGES[board.storage.kind]) for board in boards]}).decode()
        ).encode()
    }
