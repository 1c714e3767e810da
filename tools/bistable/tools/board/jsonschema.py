"""A JSON schema of `board.toml` (draft 2020-12), by which editors complete and explain, and other programs check.

It refuses nothing that the loader takes. The loader refuses more: what one value has to do with another.
"""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bistable.tools.board import schema
from bistable.tools.board.forms import pattern_of
from bistable.tools.board.load import BOOTED_SOURCE
from bistable.tools.board.model import UBOOTS, Flow, Status
from bistable.tools.board.patterns import NAMES, RANGES, WEB, Pattern
from bistable.tools.disk.layout.schema import REST, UNITS, Form, Key, Table

_UNIT: Final = "|".join(unit for unit in UNITS if unit)
_SIZE: Final = rf"^ *[0-9]+ *({_UNIT})? *$"
_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
"""What holds for every text: it is one line."""

_ONE_SIZE: Final[Mapping[str, Any]] = {"type": "string", "pattern": _SIZE}
_TITLES: Final = {
    schema.DISK: "a board whose slots are partitions of a disk",
    schema.UBI: "a board whose slots are volumes of UBI on raw NAND",
    schema.VENDOR: "a board whose partitions and boot loader are the vendor's",
}
_UNIQUE: Final = frozenset({"yocto.releases", "vendor.slots", "vendor.boot-names", "ubi.environment"})
_PAIRS: Final = frozenset({"vendor.slots", "vendor.boot-names", "ubi.environment"})


def json_schema() -> dict[str, Any]:
    """Return the schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "board.toml of Bistable",
        "description": "What a board is: docs/reference/board.md",
        "type": "object",
        "oneOf": [{"$ref": f"#/$defs/{shape}"} for shape in schema.SHAPES],
        "allOf": [_needs_uboot(), _needs_qemu()],
        "$defs": {shape: _shape(shape) for shape in schema.SHAPES} | _shared(),
    }


def _shape(shape: str) -> dict[str, Any]:
    """Return the schema of the boards whose storage is laid out in one of three ways."""
    tables = {table.name: table for table in schema.SHAPES[shape]}
    flows = [flow.value for flow in Flow if schema.shape_of(flow) == shape]
    own = {name: _table(table) for name, table in tables.items()}
    own["boot"]["properties"]["loader"]["enum"] = flows
    shared = {name: {"$ref": f"#/$defs/{name}"} for name in (*schema.BOARD_TABLES, schema.SOURCES.name)}
    named = {table.name: _named(table) for table in schema.NAMED[shape]}
    required = [table.name for table in (*schema.BOARD_TABLES.values(), *tables.values()) if table.required]
    required += [schema.MTD.name] if shape == schema.UBI else []
    return {
        "title": _TITLES[shape],
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": shared | own | named,
    }


def _shared() -> dict[str, Any]:
    sources = {
        "type": "object",
        "description": schema.SOURCES.meaning,
        "additionalProperties": _text(WEB),
    }
    return {name: _table(table) for name, table in schema.BOARD_TABLES.items()} | {schema.SOURCES.name: sources}


def _named(table: Table) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "object",
        "description": table.meaning,
        "additionalProperties": _table(table),
    }
    pattern = NAMES.get(table.name)
    if pattern is not None:
        found["propertyNames"] = {"pattern": _whole(pattern)}
    return found


def _table(table: Table) -> dict[str, Any]:
    return {
        "type": "object",
        "description": table.meaning,
        "additionalProperties": False,
        "required": [key.name for key in table.keys if key.required],
        "properties": {key.name: _key(table, key) for key in table.keys},
    }


def _key(table: Table, key: Key) -> dict[str, Any]:
    place = f"{table.name}.{key.name}"
    found: dict[str, Any] = {
        "description": key.meaning,
        "examples": [tomllib.loads(f"x = {key.example}")["x"]],
        **_form(table, key),
    }
    if place in RANGES:
        found["minimum"], found["maximum"] = RANGES[place]
    if place in NAMES:
        found["propertyNames"] = {"pattern": _whole(NAMES[place])}
    if place in _UNIQUE:
        found |= {"uniqueItems": True, "minItems": 1}
    if place in _PAIRS:
        found |= {"minItems": 2, "maxItems": 2}
    if place == "yocto.releases":
        found["items"] = {"enum": list(schema.RELEASES)}
    if place == "qemu.firmware":
        found["oneOf"] = [_exactly(("bios",)), _exactly(("code", "variables"))]
    return found


def _form(table: Table, key: Key) -> Mapping[str, Any]:
    text = _text(pattern_of(table, key))
    match key.form:
        case Form.TEXT:
            return text
        case Form.CHOICE:
            return {"type": "string", "enum": list(key.choices)}
        case Form.WHOLE:
            return {"type": "integer"}
        case Form.SIZE:
            return _ONE_SIZE
        case Form.SIZE_OR_REST:
            return {"type": "string", "pattern": f"{_SIZE}|^{REST}$"}
        case Form.SIZES:
            return {"type": "array", "items": _ONE_SIZE, "minItems": 2, "maxItems": 2}
        case Form.LIST:
            return {"type": "array", "items": text}
        case Form.TEXTS:
            return {"type": "object", "additionalProperties": text}
        case Form.SIZES_BY_NAME:
            return {"type": "object", "additionalProperties": _ONE_SIZE}


def _text(pattern: Pattern | None) -> dict[str, Any]:
    return {"type": "string", "pattern": _LINE if pattern is None else _whole(pattern)}


def _whole(pattern: Pattern) -> str:
    return f"^({pattern.expression})$"


def _exactly(names: Iterable[str]) -> dict[str, Any]:
    listed = list(names)
    return {"required": listed, "propertyNames": {"enum": listed}}


def _needs_uboot() -> dict[str, Any]:
    flows = [flow.value for flow in Flow if flow in UBOOTS]
    return {
        "if": {"required": ["boot"], "properties": {"boot": _is("loader", {"enum": flows})}},
        "then": {"required": ["uboot"]},
    }


def _needs_qemu() -> dict[str, Any]:
    source = {"required": ["sources"], "properties": {"sources": {"required": [BOOTED_SOURCE]}}}
    return {
        "if": {"required": ["board"], "properties": {"board": _is("status", {"const": Status.BOOTED.value})}},
        "then": {"anyOf": [{"required": ["qemu"]}, source]},
    }


def _is(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [key], "properties": {key: value}}
