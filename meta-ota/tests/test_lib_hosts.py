"""What machines that build, and bitbake itself, ask of the modules that it imports."""

import ast
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType

import metaota
import pytest
from layer_files import LAYER, assignment

LIB = LAYER / "lib" / "metaota"
MODULES = sorted(LIB.glob("*.py"))
OLDEST = (3, 8)
"""What scarthgap asks of the machine that builds."""

NEWER = {"removeprefix", "removesuffix", "pairwise", "bit_count", "tomllib", "zoneinfo", "graphlib"}
NEWER_ARGUMENTS = {"zip": {"strict"}, "dataclass": {"slots", "kw_only"}}
"""Names and arguments that Python 3.8 does not have, as far as they are tempting here."""


def names(module: ModuleType) -> list[str]:
    """Return what bitbake looks at in a module: all that can be called and has a public name."""
    return [name for name in dir(module) if not name.startswith("_") and callable(getattr(module, name))]


def test_the_layer_names_the_package() -> None:
    lines = (LAYER / "conf" / "layer.conf").read_text().splitlines()
    assert "addpylib ${LAYERDIR}/lib metaota" in lines


def test_bitbake_is_told_of_every_module() -> None:
    assert sorted(metaota.BBIMPORTS) == [path.stem for path in MODULES if path.stem != "__init__"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_oldest_python_of_a_build_machine_reads_it(path: Path) -> None:
    tree = ast.parse((LIB / path).read_text(), feature_version=OLDEST)
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert used & NEWER == set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert NEWER_ARGUMENTS.get(node.func.id, set()) & {keyword.arg for keyword in node.keywords} == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_is_newer_than_the_oldest_python_stands_in_annotations_only(path: Path) -> None:
    tree = ast.parse((LIB / path).read_text())
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert futures or not any(isinstance(node, ast.FunctionDef) for node in tree.body)
    # `list[str]` in an annotation is text then; as a value it is a mistake in Python 3.8.
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Assign):
            used = {ast.unparse(node.value) for node in ast.walk(statement.value) if isinstance(node, ast.Subscript)}
            assert used & {"list", "dict", "tuple", "set", "type"} == set()


@pytest.mark.parametrize("name", metaota.BBIMPORTS)
def test_bitbake_can_look_at_the_source_of_all_that_can_be_called(name: str) -> None:
    module = importlib.import_module(f"metaota.{name}")
    for each in names(module):
        # As bb.codeparser does; that of scarthgap stops the build when this fails.
        found = inspect.getsourcefile(getattr(module, each))
        if found is not None and Path(found).samefile(str(module.__file__)):
            inspect.getsourcelines(getattr(module, each))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_it_needs_nothing_but_python_and_itself(path: Path) -> None:
    tree = ast.parse((LIB / path).read_text())
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            assert module.partition(".")[0] in {*sys.stdlib_module_names, "metaota"}


def test_the_series_are_the_two_long_term_ones() -> None:
    assert assignment(LAYER / "conf" / "layer.conf", "LAYERSERIES_COMPAT_meta-ota") == "scarthgap wrynose"
