"""Make the pictures of the tutorial: `python client/tests/shots_kiosk.py docs/tutorial`, with Chromium installed."""

import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parents[1] / "artifact/tests")]

import client_kiosk  # noqa: E402 - it is beside this file
from client_browser import browser  # noqa: E402
from client_bus import running_bus  # noqa: E402
from client_kiosk import Kiosk, Rig, Stream, dripping_server  # noqa: E402
from test_example_kiosk import Page, asks, idle  # noqa: E402

SCREEN, PHONE = (800, 480), (390, 790)


def main(folder: Path) -> None:
    client_kiosk.SLOT = 64 << 20  # so that a download takes a moment
    with tempfile.TemporaryDirectory() as place, running_bus(Path(place)) as bus:
        rig = Rig(Path(place), bus)
        try:
            rig.start_daemon()
            kiosk = rig.start_kiosk()
            with closing(Stream(kiosk)) as stream, browser(Path(place) / "profile") as driver:
                _walk(rig, kiosk, stream, driver, folder)
        finally:
            rig.close()


def _walk(rig: Rig, kiosk: Kiosk, stream: Stream, driver: Any, folder: Path) -> None:
    stream.until(lambda view: view["current"])
    kiosk.enable()
    rig.install(rig.artifact("release-2", size=1 << 20))
    _reboot_into(rig, kiosk, stream)
    kiosk.answer("yes", stream.until(asks("commit")))
    stream.until(lambda view: idle(view) and view["current"] == "release-2")
    page = Page(driver, kiosk)
    with dripping_server(rig.artifact("release-3", size=client_kiosk.SLOT)) as (address, go):
        rig.install(address)
        stream.until(lambda view: view["progress"].get("percent", 0) > 40)
        page.until("Getting release-3", "MB/s")
        _take(driver, folder / "kiosk-download.png", SCREEN, dark=False)
        go.set()
    stream.until(asks("install"))
    page.until("release-3 is ready")
    _take(driver, folder / "kiosk-install.png", SCREEN, dark=False)
    _reboot_into(rig, kiosk, stream)
    stream.until(asks("commit"))
    page.until("Does everything work?", "runs, on trial")
    _take(driver, folder / "kiosk-trial.png", SCREEN, dark=True)
    _take(driver, folder / "kiosk-phone.png", PHONE, dark=False)


def _reboot_into(rig: Rig, kiosk: Kiosk, stream: Stream) -> None:
    kiosk.answer("yes", stream.until(asks("install")))
    kiosk.answer("yes", stream.until(asks("reboot")))
    stream.until(
        lambda view: view["state"] == "reboot" and any(one["running"] and not one["good"] for one in view["slots"])
    )
    rig.restart_daemon()


def _take(driver: Any, to: Path, size: tuple[int, int], *, dark: bool) -> None:
    screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    to.write_bytes(driver.get_screenshot_as_png())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
