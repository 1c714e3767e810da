"""The example with a screen, where what the service tells and what it answers cross on their way."""

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from client_kiosk import KIOSK, PATIENCE


@pytest.fixture
def kiosk(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program of the example, as a module."""
    monkeypatch.syspath_prepend(str(KIOSK.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location("kiosk", KIOSK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kiosk", module)
    spec.loader.exec_module(module)
    yield module
    for name in ("updates", "web"):
        sys.modules.pop(name, None)


class Service:
    """An update service whose change of a property is handled between its answer and whoever waits for that."""

    def __init__(self, on_change: Callable[[Mapping[str, Any]], None]) -> None:
        self._on_change = on_change

    async def inhibit(self, points: Sequence[str], who: str, why: str) -> int:
        return os.eventfd(0)

    async def properties(self) -> Mapping[str, Any]:
        answer = {"State": "idle", "CurrentArtifact": ""}
        self._on_change({"CurrentArtifact": "release-1"})
        return answer

    async def closed(self) -> None:
        await asyncio.Event().wait()


def test_a_change_that_overtakes_the_first_answer_is_shown(kiosk: ModuleType, tmp_path: Path) -> None:
    board = kiosk.Board()

    async def connect(_address: str | None, on_change: Any, _on_owner: Any) -> Service:
        return Service(on_change)

    kiosk.Updates.connect = connect

    async def meet() -> dict[str, Any]:
        staying = asyncio.ensure_future(kiosk.Kiosk(kiosk.Memory(tmp_path / "kept.json"), board).stay(None))
        number, view = 0, {"present": False}
        while not view["present"]:
            number, text = await asyncio.to_thread(board.after, number, PATIENCE)
            view = json.loads(text)
        staying.cancel()
        return view

    view = asyncio.run(meet())
    assert (view["state"], view["current"]) == ("idle", "release-1")
