"""The example with a screen, driven through what its page uses, with the real service behind it."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from client_browser import browser
from client_bus import running_bus
from client_kiosk import PATIENCE, Kiosk, Rig, Stream, slow_server

from bistable.client.bus.client import UpdatesClient


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


def idle(view: dict[str, Any]) -> bool:
    return bool(view["present"] and view["state"] == "idle" and view["last_result"])


def history(kiosk: Kiosk) -> list[dict[str, str]]:
    status, text = kiosk.get("/history", **{"X-Kiosk-Token": kiosk.token})
    assert status == 200
    found: list[dict[str, str]] = json.loads(text)["result"]
    return found


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
    view = stream.until(lambda view: idle(view) and view["current"] == "release-2")
    assert view["last_result"] == "success"
    assert [(one["artifact"], one["result"]) for one in history(kiosk)] == [("release-2", "success")]


def test_while_updates_are_off_one_waits_and_nobody_is_asked(rig: Rig, kiosk: Kiosk, stream: Stream) -> None:
    rig.install(rig.artifact("release-2"))
    view = stream.until(lambda view: view["held_at"] == "install")
    assert (view["enabled"], view["question"]) == (False, "")
    said = {"answer": "yes", "point": "install", "update": view["update"]}
    assert kiosk.post("/answer", said)[0] == 409
    kiosk.enable()
    view = stream.until(asks("install"))
    kiosk.answer("later", view)
    assert stream.until(lambda view: view["later"])["question"] == "install"
    kiosk.enable(False)
    assert stream.until(lambda view: not view["enabled"])["question"] == ""
    assert all(view["state"] != "install" for view in stream.seen)


def test_who_does_not_like_a_new_version_goes_back(rig: Rig, kiosk: Kiosk, stream: Stream) -> None:
    kiosk.enable()
    rig.install(rig.artifact("release-2"))
    kiosk.answer("yes", stream.until(asks("install")))
    kiosk.answer("yes", stream.until(asks("reboot")))
    rig.wait_booted("b")
    rig.restart_daemon()
    kiosk.answer("back", stream.until(asks("commit")))
    rig.wait_booted("a")
    rig.restart_daemon()
    view = stream.until(lambda view: idle(view) and view["current"] == "release-1")
    assert view["last_result"] == "rolled-back"


def test_after_a_reboot_an_update_waits_for_the_screen_however_late_that_comes(
    rig: Rig, kiosk: Kiosk, stream: Stream
) -> None:
    kiosk.enable()
    rig.install(rig.artifact("release-2"))
    kiosk.answer("yes", stream.until(asks("install")))
    kiosk.answer("yes", stream.until(asks("reboot")))
    rig.wait_booted("b")
    rig.stop(kiosk)
    rig.restart_daemon()
    rig.wait_state("paused-before-commit")
    late = rig.start_kiosk()
    with closing(Stream(late)) as again:
        view = again.until(asks("commit"))
        assert (view["enabled"], view["others"]) == (True, [])
        late.answer("yes", view)
        assert again.until(idle)["last_result"] == "success"


def test_a_service_that_crashed_is_held_again_and_the_person_asked_again(
    rig: Rig, kiosk: Kiosk, stream: Stream
) -> None:
    kiosk.enable()
    rig.install(rig.artifact("release-2"))
    stream.until(asks("install"))
    rig.restart_daemon(crash=True)
    stream.until(lambda view: not view["present"])
    view = stream.until(asks("install"))
    assert view["present"]
    kiosk.answer("yes", view)
    stream.until(asks("reboot"))


def test_a_screen_that_crashed_holds_nothing(rig: Rig, kiosk: Kiosk, stream: Stream) -> None:
    rig.install(rig.artifact("release-2"))
    stream.until(lambda view: view["held_at"] == "install")
    rig.stop(kiosk, crash=True)
    rig.wait_booted("b")


def test_who_else_holds_an_update_is_shown_and_is_not_overruled(rig: Rig, kiosk: Kiosk, stream: Stream) -> None:
    kiosk.enable()
    with UpdatesClient(rig.bus.address) as client:
        (hold,) = client.call("Inhibit", "install", "the lathe", "a piece is being cut", "block", 0)
        rig.install(rig.artifact("release-2"))
        view = stream.until(asks("install"))
        assert view["others"] == ["the lathe: a piece is being cut"]
        kiosk.answer("yes", view)
        view = stream.until(lambda view: view["held_at"] == "install" and not view["question"])
        assert view["others"] == ["the lathe: a piece is being cut"]
        os.close(hold)
        stream.until(asks("reboot"))


def test_progress_is_shown_with_the_name_of_what_comes(rig: Rig, kiosk: Kiosk, stream: Stream) -> None:
    with slow_server(rig.artifact("release-2")) as (address, go):
        rig.install(address)
        view = stream.until(lambda view: view["progress"].get("percent", 0) > 10 and view["artifact"])
        assert (view["state"], view["artifact"]) == ("download", "release-2")
        assert 0 < view["progress"]["bytes"] < view["progress"]["total"]
        go.set()
        stream.until(lambda view: view["held_at"] == "install")


def test_an_error_is_told_in_plain_words(rig: Rig, kiosk: Kiosk, stream: Stream) -> None:
    rig.install(rig.folder / "absent.mender")
    view = stream.until(idle)
    assert view["last_result"] == "failure"
    assert "absent.mender" in view["last_error"]
    assert history(kiosk)[0]["file"] == "absent.mender"


@pytest.mark.parametrize(
    "headers",
    [{"X-Kiosk-Token": "guessed"}, {"Origin": "http://127.0.0.1:1"}, {"Host": "kiosk.example"}],
    ids=["no token", "another page", "another name"],
)
def test_a_page_from_elsewhere_can_press_no_button(kiosk: Kiosk, stream: Stream, headers: dict[str, str]) -> None:
    assert kiosk.post("/enabled", {"enabled": True}, **headers)[0] == 403
    assert kiosk.post("/enabled", {"enabled": True})[0] == 200
    assert stream.until(lambda view: view["enabled"])


@pytest.mark.parametrize("said", [{}, {"enabled": "yes"}, [], {"enabled": "x" * 5000}])
def test_what_makes_no_sense_is_refused(kiosk: Kiosk, said: Any) -> None:
    assert kiosk.post("/enabled", said)[0] == 400


def test_nothing_but_the_page_is_served(kiosk: Kiosk) -> None:
    assert kiosk.get("/../kiosk.py")[0] == 404
    assert kiosk.get("/events?token=guessed")[0] == 403
    assert kiosk.get("/history")[0] == 403


class Page:
    """The page in a browser, as a person sees it."""

    def __init__(self, driver: Any, kiosk: Kiosk) -> None:
        self.driver = driver
        driver.get(kiosk.address)

    def until(self, *words: str) -> None:
        """Wait until all of these can be read."""
        from selenium.common.exceptions import TimeoutException

        def shown(driver: Any) -> bool:
            text = driver.find_element("tag name", "body").text
            return all(word in text for word in words)

        try:
            self._wait(shown)
        except TimeoutException:
            said = self.driver.find_element("tag name", "body").text
            raise AssertionError(f"{words} cannot be read, but {said!r}") from None

    def press(self, words: str) -> None:
        """Press the button with these words, once it is there."""
        self.until(words)

        def pressed(driver: Any) -> bool:
            (button,) = [one for one in driver.find_elements("tag name", "button") if one.text == words]
            button.click()
            return True

        self._wait(pressed)

    def _wait(self, until: Callable[[Any], bool]) -> None:
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.wait import WebDriverWait

        # The page may load itself anew, or draw its buttons anew, between finding something and looking at it.
        anew = [StaleElementReferenceException]
        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05, ignored_exceptions=anew).until(until)


def test_a_person_clicks_from_enable_to_keep_and_goes_back_from_another(rig: Rig, kiosk: Kiosk, tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as driver:
        page = Page(driver, kiosk)
        page.until("Updates are off", "Runs release-1")
        driver.find_element("class name", "switch").click()
        page.until("No update is waiting")
        rig.install(rig.artifact("release-2"))
        page.until("release-2 is ready", "Later")
        page.press("Install now")
        page.press("Reboot now")
        rig.wait_booted("b")
        rig.restart_daemon()
        page.until("Does everything work?", "runs, on trial")
        page.press("Keep this version")
        page.until("No update is waiting", "release-2 was installed", "Runs release-2")

        rig.install(rig.artifact("release-3"))
        page.press("Later")
        page.until("You said later.")
        page.press("Install now")
        page.press("Reboot now")
        rig.wait_booted("a")
        rig.restart_daemon()
        page.press("Go back")
        rig.wait_booted("b")
        rig.restart_daemon()
        page.until("release-3 was undone", "Runs release-2")
        page.press("History")
        page.until("Undone", "Installed")
        page.press("Close")

        # A restart of the program behind the page: it comes back by itself, with another token.
        port = int(kiosk.host.rpartition(":")[2])
        rig.stop(kiosk, crash=True)
        page.until("The update service is not there")
        rig.start_kiosk(port)
        page.until("No update is waiting", "release-3 was undone")
        faults = [entry for entry in driver.get_log("browser") if "ERR_" not in entry["message"]]
        assert faults == [], faults


@pytest.mark.parametrize("size", [(800, 480), (390, 844)], ids=["screen", "phone"])
def test_the_page_fits_and_is_used_with_the_keyboard_alone(
    rig: Rig, kiosk: Kiosk, tmp_path: Path, size: tuple[int, int]
) -> None:
    with browser(tmp_path / "profile", size=size) as driver:
        page = Page(driver, kiosk)
        page.until("Updates are off")
        keys = driver.switch_to.active_element
        keys.send_keys("\ue004", " ")  # Tab, space: the switch is the first thing
        page.until("No update is waiting")
        rig.install(rig.artifact("release-2"))
        page.until("release-2 is ready")
        wide, high = driver.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        assert (wide, high) == size
        driver.switch_to.active_element.send_keys("\ue004", "\ue007")  # Tab, Enter: the answer is the next one
        page.until("Restart to finish?")
        assert driver.execute_script("return document.activeElement.id") in {"yes", "headline"}
        unnamed = [
            one.get_attribute("outerHTML")
            for one in driver.find_elements("css selector", "button, input")
            if one.is_displayed() and not one.accessible_name
        ]
        assert unnamed == []
