"""From the bytes of a `board.toml` to a board, with every mistake named by line, table and key."""

import re
from pathlib import Path
from typing import Final

from bistable.artifact.documents import check_text
from bistable.artifact.errors import RequestError
from bistable.artifact.spec.text import BuildText, suggestion
from bistable.tools.board import schema
from bistable.tools.board.about import ABOUT, about
from bistable.tools.board.forms import bounded_text, check_forms, refuse_missing
from bistable.tools.board.model import FILE_NAME, UBOOTS, Board, Boot, Flow, Status, Vendor
from bistable.tools.board.nand import read_ubi
from bistable.tools.board.reading import Reading
from bistable.tools.boot.plan import DEFAULT_TRIES
from bistable.tools.disk.layout.load import layout_in
from bistable.tools.disk.layout.model import DEFAULT_KERNEL, Layout

_KEY: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
BOOTED_SOURCE: Final = "booted"
"""The source that says where a board was booted which QEMU has no machine for."""


def load_board(path: Path) -> Board:
    """Read a board: its `board.toml`, or the folder with it.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        data = file.read_bytes()
    except OSError as e:
        raise RequestError(f"cannot read the board {file}: {e.strerror}", hint="`bistable board new` makes one") from e
    return parse_board(data, file.resolve().parent, origin=str(file))


def parse_board(data: bytes, folder: Path, *, origin: str = FILE_NAME) -> Board:
    """Read the bytes of a `board.toml` that lies in `folder`, whose name is the board's key.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    text = bounded_text(data, origin)
    if not _KEY.fullmatch(folder.name):
        text.refuse(
            f"its folder is called {folder.name!r}, which is no name for a board",
            hint="lower case letters, digits and - only, as in acorn-2",
        )
    flow = _flow(text)
    shape = schema.shape_of(flow)
    check_forms(text, shape)
    _check_claims(text, flow)
    layout = layout_in(text, folder, name=folder.name, others=ABOUT) if shape == schema.DISK else None
    return Board(
        key=folder.name,
        folder=folder,
        device_type=_device_type(text) if layout is None else layout.device_type,
        boot=_boot(text, flow) if layout is None else _boot_of(layout, flow),
        layout=layout,
        ubi=read_ubi(text) if shape == schema.UBI else None,
        vendor=_vendor(text) if shape == schema.VENDOR else None,
        **about(text),
        text=text,
    )


def _flow(text: BuildText) -> Flow:
    """Return the boot loader, by which all else is read."""
    flows = [flow.value for flow in Flow]
    table = text.document.get("boot")
    if not isinstance(table, dict) or "loader" not in table:
        text.refuse("it does not say what chooses the slot", hint=f"add [boot] and in it loader = {flows[0]!r}")
    found = table["loader"]
    if found not in flows:
        hint = suggestion(found, flows) if isinstance(found, str) else f"write one of {', '.join(flows)}"
        text.refuse(f"{found!r} is not known", table="boot", key="loader", hint=hint)
    return Flow(found)


def _check_claims(text: BuildText, flow: Flow) -> None:
    """Check what one table needs of another."""
    if flow in UBOOTS and "uboot" not in text.document:
        refuse_missing(text, schema.BOARD_TABLES["uboot"])
    booted = text.document["board"]["status"] == Status.BOOTED
    if booted and "qemu" not in text.document and BOOTED_SOURCE not in text.document.get(schema.SOURCES.name, {}):
        text.refuse(
            "nothing says on what it was booted",
            table="board",
            key="status",
            hint=f'add [qemu]; or in [sources] {BOOTED_SOURCE} = "https://..." with the report; or write "checked"',
        )


def _device_type(text: BuildText) -> str:
    reading = Reading(text, "device")
    found = reading.string("type")
    why = check_text(found)
    if why is not None:
        reading.refuse("type", f"the type {why}")
    return found


def _boot_of(layout: Layout, flow: Flow) -> Boot:
    wish = layout.boot
    return Boot(
        flow=flow,
        architecture=wish.architecture,
        tries=wish.tries,
        kernel=wish.kernel,
        initrd=wish.initrd,
        devicetree=wish.devicetree,
        arguments=wish.arguments,
        addresses=wish.addresses,
    )


def _boot(text: BuildText, flow: Flow) -> Boot:
    reading = Reading(text, "boot")
    kernel = reading.path_in_slot("kernel", str(DEFAULT_KERNEL))
    assert kernel is not None
    arguments = reading.string("arguments")
    if not (arguments.isascii() and arguments.isprintable()):
        reading.refuse("arguments", "it must be ASCII text in one line")
    return Boot(
        flow=flow,
        architecture=reading.string("architecture"),
        tries=reading.whole("tries", DEFAULT_TRIES),
        kernel=kernel,
        initrd=reading.path_in_slot("initrd"),
        devicetree=reading.path_in_slot("devicetree"),
        arguments=arguments,
        addresses=reading.addresses("addresses"),
    )


def _vendor(text: BuildText) -> Vendor:
    reading = Reading(text, "vendor")
    return Vendor(
        handler=reading.string("handler"),
        slots=reading.pair("slots"),
        data=reading.string("data"),
        boot_names=reading.pair("boot-names", ("a", "b")),
    )
