"""The text of a new `board.toml`: what was said, and from another board what was not."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bistable.tools.board import schema
from bistable.tools.board.create.said import Value, said_values
from bistable.tools.board.create.toml import key_lines, key_text
from bistable.tools.board.create.wish import Wish
from bistable.tools.board.model import Board
from bistable.tools.disk.layout.schema import Table

UNPROVED: Final = ": check"
"""What the comment behind a value ends with that nobody has looked up."""

_NOT_TAKEN: Final = frozenset({schema.SOURCES.name, "qemu"})
"""Tables that are of the other board alone."""

_ORDER: Final = (
    *("board", "device", "storage", "nand", "mtd", "ubi", "vendor", "disk", "boot", "blobs", "boot-partition"),
    *("environment", "slots", "extra", "data", "console", "watchdog", "uboot", "yocto", "layer", "flash"),
)


def compose(wish: Wish, base: Board, key: str) -> str:
    """Return the text of a new board called `key`; what it takes over from `base` says so behind it.

    Sources, status, limits and the machine of QEMU are not taken over: they are claims on the other board.
    """
    said = said_values(wish, base, key)
    document = base.text.document
    lines = [
        f"# Begun from {base.key} by `bistable board new`. Look up all that is taken from there, note in [sources]",
        "# where you found it, and take the comments away. `bistable board check` finds what contradicts itself.",
    ]
    for name in _ORDER:
        if name in _named():
            for inner, values in document.get(name, {}).items():
                lines += ["", f"[{name}.{key_text(inner)}]", *_keys(_named()[name], values, {}, base)]
        elif name not in _NOT_TAKEN and (name in document or name in said):
            lines += ["", f"[{name}]", *_keys(_table(base, name), document.get(name, {}), said.get(name, {}), base)]
    lines += ["", f"[{schema.SOURCES.name}]", '# u-boot = "https://..."']
    return "\n".join(lines) + "\n"


def _keys(table: Table, taken: Mapping[str, Any], said: Mapping[str, Value], base: Board) -> Iterator[str]:
    for key in table.keys:
        value = said.get(key.name)
        if value is not None:
            if value.content is not None:
                yield from key_lines(key.name, value.content, value.remark)
        elif key.name in taken:
            yield from key_lines(key.name, taken[key.name], f"taken from {base.key}{UNPROVED}")


def _named() -> dict[str, Table]:
    return {table.name: table for tables in schema.NAMED.values() for table in tables}


def _table(base: Board, name: str) -> Table:
    tables = {table.name: table for table in schema.SHAPES[schema.shape_of(base.boot.flow)]} | dict(schema.BOARD_TABLES)
    return tables[name]
