"""Which program installs a payload."""

from pathlib import Path

import pytest

from bistable.client.errors import ModuleError
from bistable.client.modules import available_modules, find_module


@pytest.fixture
def directories(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "own", tmp_path / "others"]
    for directory in found:
        directory.mkdir()
    return found


def install(directory: Path, name: str, mode: int = 0o755) -> Path:
    path = directory / name
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_the_first_directory_that_has_it_wins(directories: list[Path]) -> None:
    second = install(directories[1], "app")
    assert find_module("app", directories) == second
    assert find_module("app", [directories[0] / "missing", *directories]) == second
    first = install(directories[0], "app")
    assert find_module("app", directories) == first


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../app", "/bin/sh", "a/b", "app\0", "app\n", ".hidden", "\x1b[31m", "..\0", "a/../app"]
)
def test_a_name_that_is_not_a_plain_name_leads_nowhere(directories: list[Path], name: str) -> None:
    install(directories[0], "app")
    install(directories[0].parent, "app")
    with pytest.raises(ModuleError, match="cannot be the name of an update module") as caught:
        find_module(name, directories)
    assert caught.value.what.isprintable()


def test_what_is_missing_is_said_together_with_what_is_there_and_what_to_do(directories: list[Path]) -> None:
    install(directories[1], "b")
    install(directories[0], "a")
    install(directories[0], "c", 0o644)
    with pytest.raises(ModuleError, match=r"type 'app': no update module .* \(installed: a, b\)") as caught:
        find_module("app", directories)
    assert caught.value.hint == f"put an executable file named 'app' into {directories[0]}"


def test_nothing_installed_is_said(directories: list[Path]) -> None:
    with pytest.raises(ModuleError, match=r"\(installed: none\)"):
        find_module("app", directories)


def test_what_cannot_be_run_is_no_module(directories: list[Path]) -> None:
    path = install(directories[0], "app", 0o644)
    (directories[0] / "folder").mkdir()
    (directories[0] / "loop").symlink_to("loop")
    with pytest.raises(ModuleError, match=f"{path} is not executable"):
        find_module("app", directories)
    with pytest.raises(ModuleError, match="is not a regular file"):
        find_module("folder", directories)
    with pytest.raises(ModuleError, match="cannot be looked at"):
        find_module("loop", directories)
    assert available_modules(directories) == []


def test_one_that_cannot_be_run_does_not_hide_one_that_can(directories: list[Path]) -> None:
    install(directories[0], "app", 0o644)
    usable = install(directories[1], "app")
    assert find_module("app", directories) == usable


def test_a_link_that_the_administrator_made_is_followed(directories: list[Path], tmp_path: Path) -> None:
    program = install(tmp_path, "program")
    (directories[0] / "app").symlink_to(program)
    assert find_module("app", directories) == directories[0] / "app"
