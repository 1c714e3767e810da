"""The reference of build files and their JSON schema say what the code does."""

import json
import re
import tomllib
from pathlib import Path
from typing import Final

import jsonschema
import pytest
from build_files import MODULE, ROOTFS, loaded

from bistable.artifact.spec import TABLES, json_schema

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"


def test_the_reference_explains_every_table_and_key() -> None:
    text = (DOCS / "build-file.md").read_text()
    for table in TABLES.values():
        section = text.partition(f"## `[{table.name}]`")[2].partition("\n## ")[0]
        assert section, table.name
        for key in table.keys:
            form = key.form.value + (", required" if key.required else "")
            row = f"| `{key.name}` | {form} | {key.meaning} | `{key.example}` |"
            assert row in section, row


def test_the_examples_in_the_reference_are_right() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", (DOCS / "build-file.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3
    variables = {"VERSION": "1", "KEYS": "/keys"}
    for block in blocks:
        loaded(block, variables=variables)


def test_examples_of_keys_have_the_form_of_their_keys() -> None:
    for table in TABLES.values():
        for key in table.keys:
            assert key.form.holds(tomllib.loads(f"x = {key.example}")["x"])


def test_the_published_json_schema_is_the_one_of_the_code() -> None:
    published = json.loads((DOCS / "schemas" / "build.json").read_text())
    assert published == json_schema()
    jsonschema.Draft202012Validator.check_schema(published)


@pytest.mark.parametrize("text", [ROOTFS, MODULE])
def test_the_json_schema_takes_what_the_program_takes(text: str) -> None:
    jsonschema.validate(tomllib.loads(text), json_schema())


@pytest.mark.parametrize("text", ["", "[artefact]", ROOTFS.replace("name", "nmae"), ROOTFS.replace('"release-1"', "1")])
def test_the_json_schema_refuses_what_the_program_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), json_schema())
