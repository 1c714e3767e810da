"""The example with a screen, driven through what its page uses, with the real service behind it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_bus import running_bus
from client_kiosk import Kiosk, Rig, Stream, slow_server

pytest.importorskip("dbus_fast")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    if shutil.which("busctl") is None:
        pytest.skip("the program busctl is not installed (Debian: systemd)")
    with running_bus(tmp_path) as bus:
        made = Rig(tmp_path, bus)
        try:
            made.start_daemon()
            yield made
        finally:
            made.close()


@pytest.fixture
def kiosk(rig: Rig) -> Kiosk:
    return rig.start_kiosk()


@pytest.fixture
def stream(kiosk: Kiosk) -> Iterator[Stream]:
    made = Stream(kiosk)
    made.until(lambda view: view["present"] and view["current"])
    yield made
    made.close()


def asks(point: str) -> Any:
    return lambda view: view["question"] == point


def test_an_update_is_installed_step_by_step_as_the_person_says(rig: Rig, kiosk: Kiosk, stream: Stream) -> None:
    kiosk.enable()
    rig.install(rig.artifact("release-2"))
    view = stream.until(asks("install"))
    assert (view["artifact"], view["current"], view["others"]) == ("release-2", "release-1", [])
    kiosk.answer("yes", view)
    kiosk.answer("yes", stream.until(asks("reboot")))
    rig.wait_booted("b")
    rig.restart_daemon()
    view = stream.until(asks("commit"))
    assert view["others"] == []
    kiosk.answer("yes", view)
    view = stream.until(lambda view: view["state"] == "idle" and view["current"] == "release-2")
    assert view["last_result"] == "success"
    assert [one["result"] for one in json.loads(kiosk.get("/history", **{"X-Kiosk-Token": kiosk.token})[1])["result"]] == ["success"]
