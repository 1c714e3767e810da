"""Each package of the program asks for what its modules import: the library of Python is in many packages there."""

import ast
import json
import sys
from collections.abc import Iterator
from functools import cache

import pytest
from layer_build import Bench, Recipe, bench
from layer_files import CHECKOUT, SERIES, TESTS

__all__ = ["bench"]

RECIPE = "recipes-ota/bistable/bistable_0.1.0.bb"
LIBRARY: dict[str, dict[str, str]] = json.loads((TESTS / "vectors" / "python3-packages.json").read_text())
PYTHON = {"scarthgap": "3.12", "wrynose": "3.14"}
OTHERS = {
    "click": "python3-click",
    "construct": "python3-construct",
    "cryptography": "python3-cryptography",
    "dbus_fast": "python3-dbus-fast",
    "jinja2": "python3-jinja2",
    "markupsafe": "python3-markupsafe",
}
OPTIONAL = {"isal", "zlib_ng", "pkcs11", "rich", "zstandard"} | {"labgrid", "pexpect", "serial"}
"""Packages that the program does without; that of zstd is tested by itself, and no device tests boards."""

ARTIFACT, CLIENT = CHECKOUT / "artifact/bistable/artifact", CHECKOUT / "client/bistable/client"
PARTS = {
    "artifact": [path for path in ARTIFACT.rglob("*.py") if ARTIFACT / "cli" not in path.parents],
    "cli": list((ARTIFACT / "cli").rglob("*.py")),
    "client": [
        *(path for path in CLIENT.rglob("*.py") if not {CLIENT / "daemon", CLIENT / "bus"} & set(path.parents)),
        *(
            path
            for path in (CHECKOUT / "client/dist").rglob("*")
            if path.is_file() and b"python" in path.read_bytes().partition(b"\n")[0]
        ),
    ],
    # Where there is no service, there is nobody to talk to on the bus.
    "daemon": [path for folder in ("daemon", "bus") for path in (CLIENT / folder).rglob("*.py")],
    "tools": list((CHECKOUT / "tools/bistable").rglob("*.py")),
}


class Imports(ast.NodeVisitor):
    """Collects the modules that are imported when a program runs, not those for the type checker."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0 and node.module:
            self.found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}


@cache
def imports(part: str) -> set[str]:
    """Return what the modules of a part import."""
    visitor = Imports()
    for path in PARTS[part]:
        visitor.visit(ast.parse(path.read_text()))
    return {name for name in visitor.found if not name.startswith("bistable")}


def needed(part: str, series: str) -> Iterator[tuple[str, str]]:
    """Yield package and module of all that a part imports and that is not in Python itself."""
    known = LIBRARY[series] | OTHERS
    for name in sorted(imports(part)):
        words = name.split(".")
        found = next(
            (known[".".join(words[:n])] for n in range(len(words), 0, -1) if ".".join(words[:n]) in known), None
        )
        if found is not None:
            yield found, name


def asked_for(recipe: Recipe, package: str) -> set[str]:
    """Return what a package asks for, also by way of our own."""
    words = set(recipe.words(f"RDEPENDS:{package}"))
    return words.union(*(asked_for(recipe, word) for word in words if word.startswith("bistable-")))


@pytest.fixture(params=SERIES)
def recipe(request: pytest.FixtureRequest, bench: Bench) -> tuple[str, Recipe]:
    """Give the recipe of the program, with the service, in each release."""
    settings = f'PYTHON_BASEVERSION = "{PYTHON[request.param]}"\nBBFILE_COLLECTIONS += "meta-python"\n'
    return request.param, bench.build(settings, series=request.param).recipe(RECIPE)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_package_asks_for_all_that_its_modules_import(recipe: tuple[str, Recipe], part: str) -> None:
    series, data = recipe
    there = asked_for(data, f"bistable-{part}")
    assert {package: module for package, module in needed(part, series) if package not in there} == {}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_package_asks_for_nothing_that_it_does_not_need(recipe: tuple[str, Recipe], part: str) -> None:
    series, data = recipe
    words = {word for word in data.words(f"RDEPENDS:bistable-{part}") if word.startswith("python3-")}
    used = {package for package, _ in needed(part, series)} | {"python3-core", "python3-zstandard"}
    if series == "wrynose":
        used.add("python3-compression")
    assert words - used == set()


def test_nothing_is_imported_that_no_package_is_known_for() -> None:
    known = {name for table in LIBRARY.values() for name in table} | set(OTHERS) | OPTIONAL
    known |= set(sys.builtin_module_names) | {"__future__"}
    tops = {name.partition(".")[0] for part in PARTS for name in imports(part)}
    assert sorted(top for top in tops if top not in known) == []


def test_the_parts_are_all_of_the_program() -> None:
    modules = {
        path for folder in ("artifact", "client", "tools") for path in (CHECKOUT / folder / "bistable").rglob("*.py")
    }
    assert modules == {path for part in PARTS.values() for path in part if path.suffix == ".py"} & modules


@pytest.mark.parametrize("series", SERIES)
def test_without_the_service_nothing_of_it_is_asked_for(bench: Bench, series: str) -> None:
    recipe = bench.build(f'PYTHON_BASEVERSION = "{PYTHON[series]}"\n', series=series).recipe(RECIPE)
    assert recipe.words("RDEPENDS:bistable") == ["bistable-client"]
    assert recipe.words("SYSTEMD_PACKAGES") == ["bistable-client"]
