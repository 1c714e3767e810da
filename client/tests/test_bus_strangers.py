"""Programs of others, busctl and gdbus, use every method and signal of ours, and an application only Mender's names."""

import asyncio
import re
from pathlib import Path

import pytest
from client_bus import ME, Served, as_user, busctl, gdbus_call, with_server
from dbus_fast import MessageType

from bistable.client.bus import names
from bistable.client.bus.ports import View
from bistable.client.errors import ServerError
from bistable.client.maps import MapError, parse_map
from bistable.client.model import Point

MAP = """{"id": "da32f669-e82c-455e-848b-606e0110f0a0", "priority": 0,
          "states": {"ArtifactReboot_Enter": {"action": "pause"}}}"""


@pytest.mark.parametrize(
    ("words", "called", "answer"),
    [
        (["Check"], ("check",), ""),
        (["SendInventory"], ("send_inventory",), ""),
        (
            ["Install", "sa{sv}", "/a", "2", "job", "s", "j", "stops", "as", "1", "commit"],
            ("install", "/a", "j", (Point.COMMIT,)),
            's "update-of-j"',
        ),
        (["Pause", "ass", "1", "reboot", ""], ("pause", (Point.REBOOT,), "", ME), ""),
        (["Continue", "ssb", "", "reboot", "true"], ("proceed", "", Point.REBOOT, True), ""),
        (["Abort", "ss", "u1", "no"], ("abort", "u1", "no"), ""),
        (["Commit"], ("commit",), ""),
        (["Rollback"], ("rollback",), ""),
        (
            ["Inhibit", "sssst", "install", "me", "busy", "delay", "9"],
            ("inhibit", (Point.INSTALL,), "me", "busy", "delay", 9.0),
            r"h \d+",
        ),
        (["SetControlMap", "s", MAP], ("set_control_map", MAP), "u 1800"),
        (["GetControlMaps"], ("control_maps",), r's "\{\\"maps\\": \[\]\}"'),
        (["GetHistory"], ("history",), r"aa\{ss\} 0"),
        (["CollectSupportBundle"], ("support_bundle",), r"h \d+"),
    ],
)
def test_busctl_calls_every_method(tmp_path: Path, words: list[str], called: tuple[object, ...], answer: str) -> None:
    async def test(served: Served) -> None:
        said = await served.stranger(*busctl("call", names.NAME, names.PATH, names.INTERFACE, *words))
        assert said.code == 0, said.err
        assert re.fullmatch(answer, said.out)
        assert served.service.calls == [called]

    with_server(tmp_path, test)


def test_gdbus_installs_with_options(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        said = await served.stranger(
            *gdbus_call(f"{names.INTERFACE}.Install", "https://x/a", "{'job': <'j'>, 'stops': <['reboot']>}")
        )
        assert (said.code, said.out) == (0, "('update-of-j',)"), said.err
        assert served.service.calls == [("install", "https://x/a", "j", (Point.REBOOT,))]

    with_server(tmp_path, test)


def test_gdbus_shows_the_name_and_the_words_of_an_error(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        served.service.failing["check"] = ServerError("cannot reach the server: no", hint="look at the network")
        said = await served.stranger(*gdbus_call(f"{names.INTERFACE}.Check"))
        assert f"{names.ERROR_PREFIX}Server: cannot reach the server: no" in said.err
        assert "look at the network" in said.err

    with_server(tmp_path, test)


def test_gdbus_hears_every_signal(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        words = ["gdbus", "monitor", "--address", served.bus.address, "--dest", names.NAME]
        try:
            monitor = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        except FileNotFoundError:
            pytest.skip("the program gdbus is not installed")
        assert monitor.stdout is not None
        lines: list[str] = []

        async def told(word: str) -> None:
            while not any(word in line for line in lines):
                assert monitor.stdout is not None
                lines.append((await monitor.stdout.readline()).decode())

        async with asyncio.timeout(30):
            await told("owned by :")
            # It asks for signals after it has said so, and it cannot be seen when: the first may come too early.
            number = 0
            while not any("PropertiesChanged" in line for line in lines):
                number += 1
                served.service.show(View(state="idle", substate=str(number)))
                try:
                    await asyncio.wait_for(told("PropertiesChanged"), 0.1)
                except TimeoutError:
                    continue
            served.service.show(View(state="paused-before-reboot", update_id="u", held_at="reboot", held_by=("me",)))
            served.service.show(View(state="idle", last_result="success"))
            served.service.logged_in("t", "https://server")
            await told("JwtTokenStateChange ('t', 'https://server')")
        monitor.kill()
        await monitor.communicate()
        text = "".join(lines)
        assert "StateChanged ('idle', 'paused-before-reboot', 'me')" in text
        assert "Held ('u', 'reboot', ['me'])" in text
        assert "Ended ('u', 'success', '', '')" in text

    as_user("root")
    with_server(tmp_path, test)


# --- an application that was written for Mender's client


class Application:
    """Knows the names of Mender's client, and nothing of ours."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def start(self) -> None:
        self.peer = await self._served.peer()
        await self.peer.listen("type='signal',interface='io.mender.Authentication1',member='JwtTokenStateChange'")

    async def authentication(self, member: str) -> list[object]:
        reply = await self.peer.ask(
            member,
            destination="io.mender.AuthenticationManager",
            path="/io/mender/AuthenticationManager",
            interface="io.mender.Authentication1",
        )
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        return reply.body

    async def set_map(self, text: str) -> list[object]:
        reply = await self.peer.ask(
            "SetUpdateControlMap",
            "s",
            text,
            destination="io.mender.UpdateManager",
            path="/io/mender/UpdateManager",
            interface="io.mender.Update1",
        )
        if reply.message_type is MessageType.ERROR:
            raise LookupError(reply.error_name, *reply.body)
        assert reply.signature == "i"
        return reply.body


def test_an_application_for_mender_holds_an_update(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        application = Application(served)
        await application.start()
        assert await application.set_map(MAP) == [1800]
        assert parse_map(MAP).states
        assert served.service.calls == [("set_control_map", MAP)]

    with_server(tmp_path, test)


def test_an_application_for_mender_gets_its_token_when_there_is_one(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        application = Application(served)
        await application.start()
        assert await application.authentication("GetJwtToken") == ["", ""]
        assert await application.authentication("FetchJwtToken") == [True]
        served.service.logged_in("header.body.signature", "https://server")
        told = await application.peer.until(lambda message: message.member == "JwtTokenStateChange")
        assert (told.path, told.body) == (
            "/io/mender/AuthenticationManager",
            ["header.body.signature", "https://server"],
        )
        assert await application.authentication("GetJwtToken") == told.body

    with_server(tmp_path, test)


@pytest.mark.parametrize("error", [MapError("cannot use the map: no"), ZeroDivisionError()])
def test_an_application_for_mender_gets_its_error(tmp_path: Path, error: Exception) -> None:
    async def test(served: Served) -> None:
        served.service.failing["set_control_map"] = error
        application = Application(served)
        await application.start()
        with pytest.raises(LookupError, match=r"io\.mender\.Failed"):
            await application.set_map("{}")

    with_server(tmp_path, test)


@pytest.mark.parametrize("method", ["GetJwtToken", "FetchJwtToken"])
def test_a_failed_login_is_an_error_of_mender(tmp_path: Path, method: str) -> None:
    async def test(served: Served) -> None:
        served.service.failing |= dict.fromkeys(("token", "fetch_token"), ServerError("cannot log in"))
        said = await served.stranger(
            *gdbus_call(f"{names.AUTH_INTERFACE}.{method}", name=names.AUTH_NAME, path=names.AUTH_PATH)
        )
        assert "io.mender.Failed: cannot log in" in said.err

    with_server(tmp_path, test)
