"""The JSON schema of board.toml, its reference, and the loader say the same."""

import json
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from board_samples import SAMPLES, changed
from hypothesis import given, settings
from hypothesis import strategies as st
from test_board_fuzz import document, nearly_right, read

from bistable.tools.board import schema
from bistable.tools.board.catalogue import board_keys, catalogue_folder
from bistable.tools.board.check import check_board
from bistable.tools.board.jsonschema import json_schema
from bistable.tools.board.load import parse_board
from bistable.tools.board.model import FILE_NAME
from bistable.tools.disk.layout.schema import Table

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "reference" / "board.md"
CHECKOUT = pytest.mark.skipif(not DOCS.exists(), reason="only a checkout has the documentation")
VALIDATOR = jsonschema.Draft202012Validator(json_schema())
TABLES: list[Table] = [
    *schema.BOARD_TABLES.values(),
    *(table for tables in (*schema.SHAPES.values(), *schema.NAMED.values()) for table in tables),
]


@CHECKOUT
def test_schema_and_reference_are_what_their_program_writes() -> None:
    files = runpy.run_path(str(ROOT / "tools" / "make_board_reference.py"))["files"]
    for path, text in files().items():
        assert path.read_text() == text, f"run tools/make_board_reference.py for {path.name}"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("key", board_keys())
def test_every_board_of_the_catalogue_is_valid(key: str) -> None:
    VALIDATOR.validate(tomllib.loads((catalogue_folder() / key / FILE_NAME).read_text()))


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_is_valid(sample: str) -> None:
    VALIDATOR.validate(tomllib.loads(SAMPLES[sample]))


def test_the_samples_have_every_table_and_nearly_every_key() -> None:
    """What is in no sample is tried by no test that changes samples."""
    documents = [tomllib.loads(text) for text in SAMPLES.values()]
    there = {place for content in documents for place in flat(content)}
    missing = {f"{table.name}.{key.name}" for table in TABLES for key in table.keys} - there
    assert missing == {
        *(
            "boot.addresses",
            "boot.initrd",
            "boot.tries",
            "boot-partition.files",
            "data.files",
            "disk.seed",
            "disk.table",
        ),
        *("extra.content", "extra.filesystem", "nand.sub-page", "nand.uboot"),
    }


def flat(content: dict[str, Any]) -> set[str]:
    """Return `table.key` of all that is in a document, names of tables left out."""
    named = {table.name for tables in schema.NAMED.values() for table in tables}
    found = set()
    for table, keys in content.items():
        inside = keys.values() if table in named else [keys]
        found |= {f"{table}.{key}" for values in inside for key in values}
    return found


def test_every_table_and_key_explains_itself_to_an_editor() -> None:
    for table in TABLES:
        assert table.meaning
        assert not table.meaning.endswith(".")
        for key in table.keys:
            assert key.meaning, key.name
            assert key.form.holds(tomllib.loads(f"x = {key.example}")["x"]), key.name


@pytest.mark.parametrize("shape", schema.SHAPES)
def test_examples_of_keys_fit_the_schema(shape: str) -> None:
    properties = json_schema()["$defs"][shape]["properties"]
    for table in schema.SHAPES[shape]:
        for key in table.keys:
            one = properties[table.name]["properties"][key.name]
            jsonschema.validate(tomllib.loads(f"x = {key.example}")["x"], one)


@given(data=st.data(), sample=st.sampled_from(sorted(SAMPLES)))
@settings(max_examples=400, deadline=None)
def test_what_the_schema_refuses_the_loader_refuses(data: st.DataObject, sample: str) -> None:
    content = nearly_right(data, sample)
    if read(document(content)) is not None:
        VALIDATOR.validate(content)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[console]", "[consol]"),
        ("speed = 115200", 'speed = "115200"'),
        ("speed = 115200", "speed = 7"),
        ('"7456 MiB"\n\n', '"7456 MB"\n\n'),
        ('kind = "emmc"', 'kind = "mmc"'),
        ('loader = "uboot"', 'loader = "u-boot"'),
        ('loader = "uboot"', 'loader = "uboot-ubi"'),
        ('device = "ttymxc1"', 'device = "/dev/ttymxc1"'),
        ('kernel_addr_r = "0x40480000"', 'kernel_addr_r = "40480000"'),
        ('"scarthgap", "wrynose"]', '"scarthgap", "scarthgap"]'),
        ("wrynose@", "wrynose:"),
        ("[layer.meta-acorn]", '[layer."meta acorn"]'),
        ('u-boot = "https://docs', 'u-boot = "http://docs'),
        ('status = "checked"', 'status = "booted"'),
        ("[uboot]", "[u-boot]"),
        ('size = "rest"', 'size = "all"'),
    ],
)
def test_the_schema_refuses_mistakes_that_an_editor_should_show(old: str, new: str) -> None:
    text = changed_first(old, new)
    assert list(VALIDATOR.iter_errors(tomllib.loads(text)))
    assert read(text.encode()) is None


def changed_first(old: str, new: str) -> str:
    text = SAMPLES["disk"]
    return changed(text, (old, new)) if text.count(old) == 1 else text.replace(old, new, 1)


@CHECKOUT
def test_the_reference_has_every_table_and_key() -> None:
    text = DOCS.read_text()
    for table in (
        *schema.BOARD_TABLES.values(),
        *schema.SHAPES[schema.UBI],
        *schema.SHAPES[schema.VENDOR],
        schema.LAYER,
    ):
        assert f"`[{table.name}" in text
        for key in table.keys:
            assert f"| `{key.name}` |" in text


@CHECKOUT
def test_the_examples_in_the_reference_are_boards() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", DOCS.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        assert check_board(parse_board(block.encode(), Path("/boards/acorn-2"))) == ()
        VALIDATOR.validate(tomllib.loads(block))


def test_the_schema_that_is_published_is_that_of_the_code() -> None:
    published = json.loads((catalogue_folder() / "board.schema.json").read_text())
    assert published == json_schema()
