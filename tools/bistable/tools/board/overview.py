"""All about one board: what it says, where that puts everything, and what is rendered for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from bistable.artifact.errors import RequestError
from bistable.tools.board.model import Board, Ubi
from bistable.tools.board.render import render_board
from bistable.tools.board.render.flash import ubi_plan
from bistable.tools.board.render.layoutfile import rendered_layout
from bistable.tools.boot.ubichecks import check_ubi
from bistable.tools.boot.ubigeometry import place_volumes
from bistable.tools.disk.geometry import Geometry, place
from bistable.tools.disk.layout.model import Layout


class PartKind(StrEnum):
    """What lies on the storage."""

    FILE = "file"
    """One that is written beside all partitions."""
    UBOOT = "environment of U-Boot"
    PARTITION = "partition"
    FLASH = "flash partition"
    VOLUME = "volume"
    """Of UBI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something on the storage, in bytes; `start` None: it moves; `size` None: a file, or what takes the rest."""

    name: str
    kind: PartKind
    number: int | None
    start: int | None
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A board, what is on its storage in the order in which it lies, and the files rendered for it.

    `obstacles` say why something of it could not be computed.
    """

    board: Board
    parts: tuple[Part, ...]
    rendered: tuple[PurePosixPath, ...]
    obstacles: tuple[str, ...]


def overview(board: Board) -> Overview:
    """Return all about a board, as far as it can be laid out."""
    obstacles: list[str] = []
    parts: tuple[Part, ...] = ()
    rendered: tuple[PurePosixPath, ...] = ()
    try:
        parts = tuple(_parts(board))
        rendered = tuple(render_board(board))
    except RequestError as e:
        obstacles.append(e.what)
    return Overview(board=board, parts=parts, rendered=rendered, obstacles=tuple(obstacles))


def _parts(board: Board) -> Iterator[Part]:
    if board.layout is not None:
        layout = rendered_layout(board)
        yield from sorted(_on_disk(board, layout, place(layout)), key=lambda part: part.start or 0)
    if board.ubi is not None:
        yield from _on_flash(board, board.ubi)


def _on_disk(board: Board, layout: Layout, geometry: Geometry) -> Iterator[Part]:
    for blob in layout.blobs:
        yield Part(name=blob.file.name, kind=PartKind.FILE, number=None, start=blob.offset, size=None)
    own = None if board.uboot is None else board.uboot.environment
    if own is not None and own.offset is not None:
        yield Part(name=own.kind, kind=PartKind.UBOOT, number=None, start=own.offset, size=own.size)
    for part in geometry.partitions:
        yield Part(name=part.name, kind=PartKind.PARTITION, number=part.number, start=part.start, size=part.size)


def _on_flash(board: Board, ubi: Ubi) -> Iterator[Part]:
    for number, mtd in enumerate(ubi.flash.partitions):
        yield Part(name=mtd.name, kind=PartKind.FLASH, number=number, start=mtd.offset, size=mtd.size)
    plan = ubi_plan(board, ubi)
    check_ubi(plan)
    geometry = place_volumes(plan)
    for volume in geometry.volumes:
        size = None if volume.grows else volume.blocks * geometry.leb
        yield Part(name=volume.name, kind=PartKind.VOLUME, number=volume.number, start=None, size=size)
