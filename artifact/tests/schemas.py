"""The published schemas of JSON output, held against what commands really write."""

import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schemas"


def strict(schema: Any) -> Any:
    """Return a schema that allows no field that it does not name: ours name all of them."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    return closed | ({"additionalProperties": False} if isinstance(closed.get("properties"), dict) else {})


def validated(found: Any) -> Any:
    """Return a document once the schema that it names has agreed. A source distribution has no schemas."""
    name = found["schema"].removeprefix("bistable.").replace("/", ".")
    if SCHEMAS.exists():
        jsonschema.validate(found, strict(json.loads((SCHEMAS / f"{name}.json").read_text())))
    return found
