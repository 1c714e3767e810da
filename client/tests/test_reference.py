"""The client's reference, which is made from its own tables, is that of this client."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "make_client_reference.py"


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    if not TOOL.exists():
        pytest.skip("a source distribution has no tools")
    return runpy.run_path(str(TOOL))


PAGES = ["bistablectl.md", "states.md", "errors.md", "configuration.md", "control-maps.md", "dbus.md"]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(tool: dict[str, Any], name: str) -> None:
    made = tool["PAGES"][name]()
    assert made == (ROOT / "docs" / "reference" / name).read_text(), f"run {TOOL.name}"


def test_all_pages_are_compared(tool: dict[str, Any]) -> None:
    assert set(tool["PAGES"]) == set(PAGES)


def test_every_error_has_an_advice_and_every_advice_an_error(tool: dict[str, Any]) -> None:
    assert set(tool["ADVICE"]) == set(dict(tool["_meanings"]()))


def test_the_manual_names_every_command(tool: dict[str, Any]) -> None:
    manual = tool["manual"]()
    assert [name for name in tool["app"].COMMANDS if f"\n.B {name}".replace("-", "\\-") not in manual] == []
