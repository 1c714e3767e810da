"""From the bytes of a `board.toml` to a board, with every mistake named by line, table and key."""

import re
from pathlib import Path
from typing import Any, Final

from bistable.artifact.documents import check_text
from bistable.artifact.errors import RequestError
from bistable.artifact.spec.text import BuildText, suggestion
from bistable.tools.board import schema
from bistable.tools.board.about import ABOUT, about
from bistable.tools.board.model import FILE_NAME, Board, Boot, Flow, Vendor
from bistable.tools.board.nand import read_ubi
from bistable.tools.board.reading import Reading
from bistable.tools.boot.plan import DEFAULT_TRIES
from bistable.tools.disk.layout.load import MOST_TRIES, check_table, layout_in
from bistable.tools.disk.layout.model import DEFAULT_KERNEL, Layout
from bistable.tools.disk.layout.schema import Table

_KEY: Final = re.compile(r"[a-z0-9][a-z0-9-]*")


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
    return parse_board(data, file.absolute().parent, origin=str(file))


def parse_board(data: bytes, folder: Path, *, origin: str = FILE_NAME) -> Board:
    """Read the bytes of a `board.toml` that lies in `folder`, whose name is the board's key.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    text = BuildText(data, origin=origin)
    if not _KEY.fullmatch(folder.name):
        text.refuse(
            f"its folder is called {folder.name!r}, which is no name for a board",
            hint="lower case letters, digits and - only, as in acorn-2",
        )
    flow = _flow(text)
    shape = schema.shape_of(flow)
    layout = None
    if shape == schema.DISK:
        layout = layout_in(text, folder, name=folder.name, others=ABOUT)
    _check(text, shape, without_layout=layout is not None)
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


def _check(text: BuildText, shape: str, *, without_layout: bool) -> None:
    """Check names and forms of all tables, but for those of a layout, which have been."""
    tables = dict(schema.BOARD_TABLES)
    if not without_layout:
        tables |= {table.name: table for table in schema.SHAPES[shape]}
    named = {table.name: table for table in schema.NAMED[shape]}
    layouts = {table.name for table in schema.SHAPES[shape]} if without_layout else set()
    for name, content in text.document.items():
        if name == schema.SOURCES.name:
            _check_sources(text, content)
        elif name in named:
            _check_named(text, named[name], content)
        elif name in tables:
            _check_one(text, tables[name], content)
        elif name not in layouts:
            known = [*tables, *named, *layouts, schema.SOURCES.name]
            text.refuse("there is no such table", table=name, hint=suggestion(name, known))
    for table in tables.values():
        if table.required and table.name not in text.document:
            missing = next((key for key in table.keys if key.required), table.keys[0])
            text.refuse(
                f"the table [{table.name}] is missing",
                hint=f"add [{table.name}] and in it {missing.name} = {missing.example}",
            )


def _check_one(text: BuildText, table: Table, content: Any) -> None:
    if not isinstance(content, dict):
        text.refuse("it is a table, not a value", table=table.name, hint=f"write [{table.name}] on a line of its own")
    check_table(text, table, table.name, content)


def _check_named(text: BuildText, table: Table, content: Any) -> None:
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        text.refuse("it holds tables, one each", table=table.name, hint=f"write [{table.name}.NAME]")
    for name, values in content.items():
        check_table(text, table, f"{table.name}.{name}", values)


def _check_sources(text: BuildText, content: Any) -> None:
    name = schema.SOURCES.name
    if not isinstance(content, dict):
        text.refuse("it is a table, not a value", table=name, hint="write [sources] on a line of its own")
    for key, value in content.items():
        if not isinstance(value, str) or not value.startswith("https://"):
            text.refuse(
                "it must be an address that begins with https://",
                table=name,
                key=key,
                hint=f'write {key} = "https://..."',
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
    tries, arguments = reading.whole("tries", DEFAULT_TRIES), reading.string("arguments")
    if tries > MOST_TRIES:
        reading.refuse("tries", f"it must be a number from 1 to {MOST_TRIES}")
    if not (arguments.isascii() and arguments.isprintable()):
        reading.refuse("arguments", "it must be ASCII text in one line")
    return Boot(
        flow=flow,
        architecture=reading.string("architecture", "arm64"),
        tries=tries,
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
