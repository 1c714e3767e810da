#!/usr/bin/env python3
"""Write the JSON schema of board.toml, and its tables into docs/reference/board.md, from where the loader has them.

tools/make_board_reference.py            write both
tools/make_board_reference.py --check    write nothing; the exit code is 1 if they would become others
"""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bistable.tools.board import schema
from bistable.tools.board.jsonschema import json_schema
from bistable.tools.board.model import Flow
from bistable.tools.board.patterns import RANGES
from bistable.tools.disk.layout.schema import Form, Key, Table

ROOT: Final = Path(__file__).parents[1]
SCHEMA: Final = ROOT / "board-integrations" / "board.schema.json"
REFERENCE: Final = ROOT / "docs" / "reference" / "board.md"

BEGIN: Final = "<!-- Tables: written by tools/make_board_reference.py -->"
END: Final = "<!-- End of the tables -->"
LAYOUT: Final = "layout.md"
WIDTH: Final = 120


def files() -> dict[Path, str]:
    """Return file -> content as it has to be."""
    return {SCHEMA: json.dumps(json_schema(), indent=2) + "\n", REFERENCE: reference()}


def reference() -> str:
    """Return board.md with the tables as they have to be."""
    before, _, rest = REFERENCE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + "\n".join([BEGIN, *tables(), END]) + after


def tables() -> Iterator[str]:
    """Yield the lines of all tables."""
    yield from ("", "### Every board", "")
    for table in (*schema.BOARD_TABLES.values(), schema.LAYER):
        yield from one(table, f"[{table.name}]" if table is not schema.LAYER else "[layer.NAME]")
    yield from sources()
    for shape, title in (
        (schema.DISK, "Slots on a disk"),
        (schema.UBI, "Slots in UBI on raw NAND"),
        (schema.VENDOR, "Slots that the vendor's tools make"),
    ):
        flows = ", ".join(f"`{flow.value}`" for flow in Flow if schema.shape_of(flow) == shape)
        yield from (f"### {title}", "", f"With `[boot] loader` {flows}.", "")
        if shape == schema.DISK:
            yield from layout()
            continue
        for table in schema.SHAPES[shape]:
            yield from one(table, f"[{table.name}]")
        if shape == schema.UBI:
            yield from one(schema.MTD, "[mtd.NAME]")


def layout() -> Iterator[str]:
    """Yield where the tables of a disk are described."""
    names = [table.name for table in schema.SHAPES[schema.DISK]]
    links = ", ".join(f"[`[{name}]`]({LAYOUT}#{name})" for name in names)
    text = f"The tables are those of a layout: {links}, [`[extra.NAME]`]({LAYOUT}#extraname)."
    yield from textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    yield from ("", "What U-Boot starts as a watchdog stands in `[watchdog]`, not in `[boot]`.", "")


def sources() -> Iterator[str]:
    """Yield the table that has no keys of its own."""
    yield from ("#### `[sources]`", "", f"{sentence(schema.SOURCES.meaning)} This table may be left out.", "")


def one(table: Table, name: str) -> Iterator[str]:
    """Yield the lines of one table."""
    told = table.required or table.name in {"layer", "mtd", "uboot"}
    optional = "" if told else " This table may be left out."
    yield from (f"#### `{name}`", "", f"{sentence(table.meaning)}{optional}", "")
    yield from ("| key | value | meaning | example |", "|---|---|---|---|")
    for key in table.keys:
        yield f"| `{key.name}` | {form(table, key)} | {meaning(key)} | {code(key.example)} |"
    yield ""


def form(table: Table, key: Key) -> str:
    """Return what the value of a key looks like."""
    if key.form is Form.CHOICE:
        return f"one of {', '.join(f'`{choice}`' for choice in key.choices)}"
    place = f"{table.name}.{key.name}"
    if place in RANGES:
        return "a whole number from {} to {}".format(*RANGES[place])
    words: str = key.form.value
    return words


def code(text: str) -> str:
    """Return a text as code, also one that holds backquotes."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def meaning(key: Key) -> str:
    """Return what a key means."""
    return f"{key.meaning}; required" if key.required else key.meaning


def sentence(phrase: str) -> str:
    """Return a phrase as a sentence."""
    return f"{phrase[0].upper()}{phrase[1:]}."


def main(arguments: list[str]) -> int:
    """Write the files, or say which would change."""
    changed = [path for path, text in files().items() if not path.exists() or path.read_text() != text]
    if arguments == ["--check"]:
        for path in changed:
            print(f"{path.relative_to(ROOT)} is not what tools/make_board_reference.py writes")
        return 1 if changed else 0
    for path, text in files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
