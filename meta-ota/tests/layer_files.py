"""The files of the layer, for tests that read them."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

TESTS: Final = Path(__file__).resolve().parent
LAYER: Final = TESTS.parent
CHECKOUT: Final = LAYER.parent
STUB: Final = TESTS / "stub"
KEYS: Final = CHECKOUT / "artifact" / "tests" / "vectors" / "keys"
EXAMPLE_KEYS: Final = LAYER / "files" / "example-keys"
PROJECT: Final[dict[str, Any]] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())

SERIES: Final = ("scarthgap", "wrynose")
METADATA: Final = (".bb", ".bbappend", ".bbclass", ".inc", ".conf")


def metadata(*endings: str) -> list[Path]:
    """Return the files that bitbake reads, by their endings; all if none is given."""
    return sorted(
        path
        for path in LAYER.rglob("*")
        if path.suffix in (endings or METADATA) and TESTS not in path.parents and path.is_file()
    )


def name(path: Path) -> str:
    """Return how a file is called in messages, and in the names of tests."""
    return path.relative_to(LAYER).as_posix()


def logical_lines(path: Path) -> list[str]:
    """Return the lines of a file with their continuations."""
    return re.sub(r"\\\n", " ", path.read_text()).splitlines()


def assignment(path: Path, variable: str) -> str | None:
    """Return what a file sets a variable to, as it is written there."""
    for line in logical_lines(path):
        if found := re.fullmatch(rf"{re.escape(variable)}\s*(?:[:?+.]?\??=\.?)\s*\"(.*)\"", line):
            return found[1]
    return None
