"""The linter for recipes finds nothing, in either release; what it is not to look for stands in .oelint.cfg."""

import configparser
import subprocess
import sys
from pathlib import Path

import pytest
from layer_files import LAYER, SERIES, metadata, name

PROGRAM = Path(sys.executable).with_name("oelint-adv")


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    if not PROGRAM.exists():
        pytest.skip("oelint-adv is not installed: the dependency group 'layer'")


def found(series: str, *files: str | Path) -> str:
    """Return what the linter says of files."""
    command = [
        PROGRAM,
        "--release",
        series,
        "--jobs",
        "1",
        "--constantmods",
        "+tests/oelint/constants.json",
        "--",
        *files,
    ]
    done = subprocess.run(command, cwd=LAYER, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == (1 if done.stderr else 0), done.stdout
    return done.stderr


@pytest.mark.parametrize("series", SERIES)
def test_the_linter_finds_nothing(series: str) -> None:
    assert found(series, *(name(path) for path in metadata())) == ""


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    recipe = tmp_path / "demo_1.0.bb"
    recipe.write_text('SUMMARY = "Demo"\nLICENSE = "MIT"\nBISTABLE_TRIEZ = "3"\n')
    message = found("wrynose", recipe)
    assert "'BISTABLE_TRIEZ' is unknown, maybe you meant 'BISTABLE_TRIES'" in message


def test_what_it_is_not_to_look_for_has_a_reason() -> None:
    lines = (LAYER / ".oelint.cfg").read_text().partition("suppress =\n")[2].splitlines()
    assert lines[0].lstrip().startswith("#")
    parser = configparser.ConfigParser()
    parser.read(LAYER / ".oelint.cfg")
    rules = parser["oelint"]["suppress"].split()
    assert all(rule.startswith("oelint.") for rule in rules)
    assert len(rules) == len(set(rules))
