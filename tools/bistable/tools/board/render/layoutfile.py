"""`layout.toml`: the layout that is in a board, as a file of its own, from which the disk is made."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from bistable.tools.board.model import Board
from bistable.tools.board.render.templates import HEADER
from bistable.tools.disk.layout.load import parse_layout
from bistable.tools.disk.layout.model import Layout
from bistable.tools.disk.layout.schema import EXTRA, TABLES, Table

FOLDER: Final = PurePosixPath("rendered")
"""Where what is rendered lies, in the folder of a board."""

NAME: Final = "layout.toml"


def layout_text(board: Board) -> str:
    """Return the text of `layout.toml`; paths in it start in its folder, which lies in that of the board."""
    lines = [f"# {HEADER}"]
    for name, table in TABLES.items():
        values = _values(board, name)
        if values:
            lines += ["", f"[{name}]", *_lines(table, values)]
    for name, values in board.text.document.get(EXTRA.name, {}).items():
        lines += ["", f"[{EXTRA.name}.{_key(name)}]", *_lines(EXTRA, values)]
    return "\n".join(lines) + "\n"


def rendered_layout(board: Board) -> Layout:
    """Return the layout that `layout.toml` is: that of the board, and what its other tables say of the boot.

    Raises:
        RequestError: what the other tables say cannot be in a layout.
    """
    return parse_layout(layout_text(board).encode(), board.folder / FOLDER, origin=NAME, name=board.key)


def _values(board: Board, table: str) -> dict[str, Any]:
    values = dict(board.text.document.get(table, {}))
    if table == "boot" and board.watchdog is not None and board.watchdog.uboot is not None:
        values["watchdog"] = board.watchdog.uboot
    return values


def _lines(table: Table, values: Mapping[str, Any]) -> Iterator[str]:
    for key in table.keys:
        if key.name in values:
            yield f"{key.name} = {_toml(_moved(table.name, key.name, values[key.name]))}"


def _moved(table: str, key: str, value: Any) -> Any:
    """Return a value; paths of files that start in the folder of the board start in one beneath it."""
    if (table, key) in {("data", "files"), (EXTRA.name, "content")}:
        return _path(value)
    if (table, key) == ("boot-partition", "files"):
        return {inside: _path(path) for inside, path in value.items()}
    if (table, key) == ("blobs", "at"):
        return {_path(path): offset for path, offset in value.items()}
    return value


def _path(path: str) -> str:
    return path if path.startswith("/") else f"../{path}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(key)} = {_toml(content)}" for key, content in value.items())
        return f"{{ {inside} }}"
    # JSON's strings, numbers, truths and lists are TOML's.
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if plain else json.dumps(name, ensure_ascii=False)
