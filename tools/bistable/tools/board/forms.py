"""Checks of a document before anything is taken out of it: its bounds, its tables, and the form of every value."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bistable.artifact.errors import quoted
from bistable.artifact.spec.text import BuildText, suggestion
from bistable.tools.board import schema
from bistable.tools.board.patterns import ANYTHING, NAMES, RANGES, TEXTS, WEB, Pattern
from bistable.tools.disk.layout.load import check_table
from bistable.tools.disk.layout.schema import EXTRA, TABLES, Form, Key, Table

_LONGEST: Final = 2048
"""Characters of one text: more than any of them needs, and few enough for a number to be written out."""

_LARGEST: Final = 1 << 31
_DEEPEST: Final = 5
"""Tables in tables: `[layer.NAME]` is three deep with its keys."""


def bounded_text(data: bytes, origin: str) -> BuildText:
    """Return the document in `data`, in which no text is overlong, has several lines, or cannot be printed.

    Raises:
        RequestError: there is none, or it is beyond these bounds.
    """
    text = BuildText(data, origin=origin)
    for name, content in text.document.items():
        _check_name(text, name, None)
        _check_bounds(text, name, None, content, 1)
    return text


def _check_bounds(text: BuildText, table: str, key: str | None, value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        text.refuse("tables and lists are nested too deeply", table=table, key=key)
    if isinstance(value, str):
        _check_text(text, table, key, value)
    elif isinstance(value, int) and abs(value) > _LARGEST:
        text.refuse("the number is too large", table=table, key=key, hint='sizes are written as "4 GiB"')
    elif isinstance(value, list):
        for item in value:
            _check_bounds(text, table, key, item, depth + 1)
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_name(text, name, table)
            below = isinstance(inner, dict) and key is None and table in _NAMED
            inner_table, inner_key = (f"{table}.{name}", None) if below else (table, key or name)
            _check_bounds(text, inner_table, inner_key, inner, depth + 1)


_NAMED: Final = frozenset(table.name for tables in schema.NAMED.values() for table in tables)


def _check_name(text: BuildText, name: str, table: str | None) -> None:
    if not (name.isprintable() and 0 < len(name) <= _LONGEST):
        text.refuse(f"{quoted(name)} is no name", table=table, hint="names are short, in one line, and can be printed")


def _check_text(text: BuildText, table: str, key: str | None, value: str) -> None:
    if len(value) > _LONGEST:
        text.refuse(f"it has more than {_LONGEST} characters", table=table, key=key, hint="shorten it")
    odd = next((character for character in value if not character.isprintable()), None)
    if odd is not None:
        text.refuse(
            "it has more than one line" if odd in "\r\n" else f"it holds the character U+{ord(odd):04X}",
            table=table,
            key=key,
            hint="write it by hand, in one line",
        )


def check_forms(text: BuildText, shape: str) -> None:
    """Check that all tables are there that a board of this shape needs, no others, and the form of all that is in them.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    tables = {table.name: table for table in schema.SHAPES[shape]} | dict(schema.BOARD_TABLES)
    named = {table.name: table for table in schema.NAMED[shape]}
    for name, content in text.document.items():
        if name == schema.SOURCES.name:
            _check_sources(text, content)
        elif name in named:
            _check_named(text, named[name], content)
        elif name in tables:
            _check_one(text, tables[name], name, content)
        else:
            _refuse_table(text, name, [*tables, *named, schema.SOURCES.name])
    for table in tables.values():
        if table.required and table.name not in text.document:
            refuse_missing(text, table)


def refuse_missing(text: BuildText, table: Table) -> None:
    """Raise RequestError as a table is missing."""
    missing = [key for key in table.keys if key.required] or table.keys[:1]
    keys = ", ".join(f"{key.name} = {key.example}" for key in missing)
    text.refuse(f"the table [{table.name}] is missing", hint=f"add [{table.name}] and in it {keys}")


def _refuse_table(text: BuildText, name: str, known: list[str]) -> None:
    others = {table.name for tables in (*schema.SHAPES.values(), *schema.NAMED.values()) for table in tables}
    if name in others:
        flows = " or ".join(flow.value for flow in schema.flows_with(name))
        text.refuse(
            "a board with this [boot] loader has no such table",
            table=name,
            hint=f"leave it out; or write loader = {flows}",
        )
    text.refuse("there is no such table", table=name, hint=suggestion(name, known))


def _check_one(text: BuildText, table: Table, name: str, content: Any) -> None:
    if not isinstance(content, dict):
        text.refuse("it is a table, not a value", table=name, hint=f"write [{name}] on a line of its own")
    check_table(text, table, name, content)
    for key_name, value in content.items():
        key = table.key(key_name)
        assert key is not None
        _check_value(text, table, name, key, value)


def _check_named(text: BuildText, table: Table, content: Any) -> None:
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        text.refuse("it holds tables, one each", table=table.name, hint=f"write [{table.name}.NAME]")
    for name, values in content.items():
        place = f"{table.name}.{name}"
        pattern = NAMES.get(table.name)
        if pattern is not None and not _fits(pattern, name):
            text.refuse(f"{name!r} is not {pattern.words}", table=place, hint="choose another name")
        _check_one(text, table, place, values)


def _check_sources(text: BuildText, content: Any) -> None:
    name = schema.SOURCES.name
    if not isinstance(content, dict):
        text.refuse("it is a table, not a value", table=name, hint="write [sources] on a line of its own")
    for key, value in content.items():
        if not isinstance(value, str) or not _fits(WEB, value):
            text.refuse(f"it must be {WEB.words}", table=name, key=key, hint=f'write {key} = "https://..."')


def _check_value(text: BuildText, table: Table, name: str, key: Key, value: Any) -> None:
    place = f"{table.name}.{key.name}"
    if place in RANGES:
        least, most = RANGES[place]
        if not least <= value <= most:
            text.refuse(f"it must be a number from {least} to {most}", table=name, key=key.name)
    names = NAMES.get(place)
    if names is not None:
        for inner in value:
            if not _fits(names, inner):
                text.refuse(f"{inner!r} is not {names.words}", table=name, key=key.name, hint=f"write {key.example}")
    pattern = pattern_of(table, key)
    if pattern is not None:
        for inner in _texts(value):
            if not _fits(pattern, inner):
                text.refuse(
                    "it is empty" if not inner.strip() else f"{quoted(inner)} is not {pattern.words}",
                    table=name,
                    key=key.name,
                    hint=f"write {key.example}",
                )


def pattern_of(table: Table, key: Key) -> Pattern | None:
    """Return what texts under a key of a table have to look like; None: the layout knows, or anything will do."""
    found = TEXTS.get(f"{table.name}.{key.name}")
    textual = key.form in {Form.TEXT, Form.LIST, Form.TEXTS}
    return found or (ANYTHING if textual and table.name not in TABLES and table.name != EXTRA.name else None)


def _fits(pattern: Pattern, text: str) -> bool:
    return re.fullmatch(pattern.expression, text, re.ASCII) is not None


def _texts(value: str | list[str] | Mapping[str, str]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        yield from value.values() if isinstance(value, Mapping) else value
