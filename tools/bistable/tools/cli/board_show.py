"""`bistable board show`: everything about one board."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from bistable.artifact.cli.framework import Example, command
from bistable.artifact.cli.options import output_options
from bistable.artifact.cli.render import Console, View, clean, rows, size_text

if TYPE_CHECKING:
    from bistable.tools.board.overview import Overview, Part


@command(
    "show",
    examples=[
        Example("See where everything of a board lies", "bistable board show beagleplay"),
        Example("See the same of a board of yours", "bistable board show ./acorn-2"),
    ],
)
@output_options
@click.argument("board", metavar="BOARD")
def show(board: str, console: Console) -> None:
    """Show what a board is, where everything lies on its storage, what is rendered for it, and what is not known.

    BOARD is one that comes with Bistable, or a folder with a board.toml, or that file.
    """
    from bistable.tools.board.catalogue import find_board
    from bistable.tools.board.overview import overview

    found = overview(find_board(board))
    for obstacle in found.obstacles:
        console.warn(obstacle, hint="`bistable board check` says more")
    console.result(View(schema="board.show/1", document=_document(found), lines=_lines(found)))


def _document(found: "Overview") -> Mapping[str, Any]:
    board = found.board
    boot, storage, yocto = board.boot, board.storage, board.yocto
    return {
        "board": board.key,
        "file": board.text.origin,
        "name": board.name,
        "processor": board.soc,
        "page": board.page,
        "status": board.status.value,
        "limits": list(board.limits),
        "device_type": board.device_type,
        "boot": {
            "flow": boot.flow.value,
            "architecture": boot.architecture,
            "tries": boot.tries,
            "kernel": str(boot.kernel),
            "initrd": None if boot.initrd is None else str(boot.initrd),
            "devicetree": None if boot.devicetree is None else str(boot.devicetree),
            "arguments": boot.arguments,
        },
        "storage": {"kind": storage.kind.value, "device": storage.device, "capacity": storage.capacity},
        "parts": [_part_document(part) for part in found.parts],
        "console": {"device": board.console.device, "speed": board.console.speed, "user": board.console.user},
        "watchdog": None
        if board.watchdog is None
        else {
            "driver": board.watchdog.driver,
            "device": board.watchdog.device,
            "timeout": board.watchdog.timeout,
            "uboot": board.watchdog.uboot,
        },
        "uboot": None
        if board.uboot is None
        else {
            "defconfig": board.uboot.defconfig,
            "source": board.uboot.source,
            "version": board.uboot.version,
            "addresses": dict(board.uboot.addresses),
        },
        "yocto": None
        if yocto is None
        else {
            "machine": yocto.machine,
            "releases": list(yocto.releases),
            "layers": [layer.name for layer in yocto.layers],
        },
        "qemu": None if board.qemu is None else board.qemu.program,
        "flash": list(board.steps),
        "rendered": [str(path) for path in found.rendered],
        "sources": dict(board.sources),
        "obstacles": list(found.obstacles),
    }


def _part_document(part: "Part") -> Mapping[str, Any]:
    return {"name": part.name, "kind": part.kind.value, "number": part.number, "start": part.start, "size": part.size}


def _lines(found: "Overview") -> list[str]:
    board = found.board
    boot = board.boot
    started = [str(path) for path in (boot.kernel, boot.initrd, boot.devicetree) if path is not None]
    arguments = [boot.arguments] if boot.arguments else []
    storage = f"{board.storage.kind.value} {board.storage.device}, {size_text(board.storage.capacity)}"
    facts: Sequence[tuple[str, Sequence[str]]] = [
        ("processor", [board.soc]),
        ("page", [board.page]),
        ("status", [board.status.value]),
        ("device type", [board.device_type]),
        ("boot flow", [f"{boot.flow.value}, {boot.architecture}"]),
        ("starts", [*started, *arguments]),
        ("storage", [storage]),
        ("places", _part_lines(found.parts)),
        ("console", [f"{board.console.device}, {board.console.speed}"]),
        ("watchdog", _watchdog(found)),
        (
            "U-Boot",
            [] if board.uboot is None else [f"{board.uboot.version}, {board.uboot.defconfig}", board.uboot.source],
        ),
        ("memory", _memory(found)),
        ("OpenEmbedded", _openembedded(found)),
        ("QEMU", [] if board.qemu is None else [" ".join([board.qemu.program, *board.qemu.arguments])]),
        ("flashing", board.steps),
        ("rendered", [str(path) for path in found.rendered]),
        ("limits", board.limits),
        ("sources", [f"{what}: {address}" for what, address in board.sources.items()]),
    ]
    pairs = [(label, [clean(line) for line in lines]) for label, lines in facts]
    return [f"{clean(board.key)}: {clean(board.name)}", *rows(pairs, indent="  ")]


def _part_lines(parts: "Sequence[Part]") -> list[str]:
    """Return where, how large and what, in columns."""
    cells = [(_size(part.start, ""), _size(part.size, _unsized(part)), _what(part)) for part in parts]
    starts, sizes = (max((len(line[column]) for line in cells), default=0) for column in (0, 1))
    return [f"{start:>{starts}}  {size:>{sizes}}  {what}" for start, size, what in cells]


def _size(size: int | None, otherwise: str) -> str:
    from bistable.tools.board.sizes import bytes_text

    return otherwise if size is None else bytes_text(size)


def _unsized(part: "Part") -> str:
    return "" if part.kind == "file" else "rest"


def _what(part: "Part") -> str:
    return " ".join([part.kind.value, *([] if part.number is None else [str(part.number)]), part.name])


def _watchdog(found: "Overview") -> list[str]:
    watchdog = found.board.watchdog
    if watchdog is None:
        return []
    by = "" if watchdog.uboot is None else f", U-Boot starts {watchdog.uboot}"
    return [f"{watchdog.driver}, {watchdog.device}, {watchdog.timeout} seconds{by}"]


def _memory(found: "Overview") -> list[str]:
    uboot = found.board.uboot
    own = {} if uboot is None else uboot.addresses
    addresses = {**own, **found.board.boot.addresses}
    return [f"{name} = {place:#x}" for name, place in sorted(addresses.items(), key=lambda item: item[1])]


def _openembedded(found: "Overview") -> list[str]:
    yocto = found.board.yocto
    if yocto is None:
        return []
    layers = [f"{layer.name}: {layer.url}" for layer in yocto.layers]
    return [f"MACHINE {yocto.machine}, {', '.join(yocto.releases)}", *layers]
