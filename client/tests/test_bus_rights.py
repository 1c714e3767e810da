"""Who may do what on the bus: root everything, others what polkit says, and without polkit nothing but reading."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from client_bus import DIST, Peer, Served, as_user, busctl, gdbus_call, with_server
from dbus_fast import Message, MessageType, Variant
from dbus_fast.unpack import unpack_variants

from bistable.client.bus import names
from bistable.client.bus.authority import Caller, Kind
from bistable.client.bus.connection import close_all
from bistable.client.bus.holds import MOST_PER_USER
from bistable.client.bus.ports import View
from bistable.client.bus.updates import NEEDS

NOBODY = 65534
ACTIONS = DIST / "polkit-1/actions/io.bistable.updates.policy"

CALLS: dict[str, Sequence[str]] = {
    "Check": (),
    "SendInventory": (),
    "Install": ("sa{sv}", "/a", "0"),
    "Pause": ("ass", "1", "install", ""),
    "Continue": ("ssb", "", "install", "false"),
    "Abort": ("ss", "", "no"),
    "Commit": (),
    "Rollback": (),
    "Inhibit": ("sssst", "install", "me", "busy", "block", "0"),
    "SetControlMap": ("s", "{}"),
    "GetControlMaps": (),
    "GetHistory": (),
    "CollectSupportBundle": (),
}
FORCED = ("Continue", "ssb", "", "install", "true")


@pytest.fixture(autouse=True)
def only_root() -> None:
    as_user("nobody")


class Polkit:
    """An authority that allows some actions, and notes what it was asked."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = {names.ACTION_PREFIX + one for one in allowed}
        self.asked: list[tuple[Any, ...]] = []
        self.reply: tuple[str, list[Any]] | None = None
        self.error: str | None = None

    async def join(self, served: Served) -> "Polkit":
        peer = await served.peer()
        peer.bus.add_message_handler(self._take)
        answer = await peer.ask(
            "RequestName",
            "su",
            "org.freedesktop.PolicyKit1",
            4,
            destination=names.DRIVER,
            path=names.DRIVER_PATH,
            interface=names.DRIVER,
        )
        assert answer.body == [1]
        return self

    def _take(self, message: Message) -> Message | None:
        if message.member != "CheckAuthorization":
            return None
        subject, action, details, flags, cancellation = message.body
        self.asked.append((subject[0], unpack_variants(subject[1]), action, details, flags, cancellation))
        if self.error is not None:
            return Message.new_error(message, self.error, "no")
        signature, body = self.reply or ("(bba{ss})", [[action in self.allowed, False, {}]])
        return Message.new_method_return(message, signature, body)


async def call_as_nobody(served: Served, member: str, *arguments: str) -> str:
    """Call a method with busctl; return what it says went wrong."""
    said = await served.stranger(
        *busctl("call", names.NAME, names.PATH, names.INTERFACE, member, *arguments), user="nobody"
    )
    assert (said.code == 0) == (said.err == "")
    return said.err


@pytest.mark.parametrize("member", [member for member in CALLS if NEEDS[member] is not None])
def test_without_polkit_others_may_not_change_anything(tmp_path: Path, member: str) -> None:
    async def test(served: Served) -> None:
        words = await call_as_nobody(served, member, *CALLS[member])
        assert "only root may do that" in words
        assert served.service.calls == []

    with_server(tmp_path, test)


@pytest.mark.parametrize("member", [member for member in CALLS if NEEDS[member] is None])
def test_without_polkit_others_may_read(tmp_path: Path, member: str) -> None:
    async def test(served: Served) -> None:
        assert await call_as_nobody(served, member, *CALLS[member]) == ""

    with_server(tmp_path, test)


def test_everybody_may_read_and_watch_properties(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        said = await served.stranger(
            *busctl("get-property", names.NAME, names.PATH, names.INTERFACE, "State"), user="nobody"
        )
        assert (said.code, said.out) == (0, 's "idle"')
        said = await served.stranger(
            *gdbus_call("org.freedesktop.DBus.Properties.GetAll", names.INTERFACE), user="nobody"
        )
        assert said.code == 0, said.err
        assert "'State': <'idle'>" in said.out

    with_server(tmp_path, test)


def test_the_named_error_says_that_it_is_denied(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        said = await served.stranger(*gdbus_call(f"{names.INTERFACE}.Commit"), user="nobody")
        assert said.code != 0
        assert f"{names.ERROR_PREFIX}Denied" in said.err

    with_server(tmp_path, test)


@pytest.mark.parametrize(
    ("call", "action"),
    [((member, *words), kind.value) for member, words in CALLS.items() if (kind := NEEDS[member]) is not None]
    + [(FORCED, "continue-force")],
)
def test_polkit_is_asked_for_the_one_action_that_is_needed(tmp_path: Path, call: tuple[str, ...], action: str) -> None:
    async def test(served: Served) -> None:
        polkit = await Polkit(action).join(served)
        assert await call_as_nobody(served, *call) == ""
        assert len(served.service.calls) == 1
        ((kind, subject, asked, details, flags, cancellation),) = polkit.asked
        assert kind == "system-bus-name"
        assert subject["name"].startswith(":1.")
        assert (asked, details, cancellation) == (names.ACTION_PREFIX + action, {}, "")
        assert flags == 1, "busctl lets a person be asked"

    with_server(tmp_path, test)


@pytest.mark.parametrize(
    ("call", "action"),
    [((member, *words), kind.value) for member, words in CALLS.items() if (kind := NEEDS[member]) is not None]
    + [(FORCED, "continue-force")],
)
def test_what_polkit_does_not_allow_is_not_done(tmp_path: Path, call: tuple[str, ...], action: str) -> None:
    async def test(served: Served) -> None:
        await Polkit(*(kind.value for kind in Kind if kind.value != action)).join(served)
        assert "may not do that" in await call_as_nobody(served, *call)
        assert served.service.calls == []

    with_server(tmp_path, test)


def test_polkit_is_not_asked_about_root(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        polkit = await Polkit().join(served)
        peer = await served.peer()
        assert (await peer.ask("Commit")).message_type is MessageType.METHOD_RETURN
        assert polkit.asked == []

    with_server(tmp_path, test)


def test_nobody_is_asked_for_a_password_who_does_not_want_to(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        polkit = await Polkit("commit").join(served)
        said = await served.stranger(
            *busctl("--allow-interactive-authorization=no"),
            *("call", names.NAME, names.PATH, names.INTERFACE, "Commit"),
            user="nobody",
        )
        assert said.code == 0, said.err
        assert polkit.asked[0][4] == 0

    with_server(tmp_path, test)


def test_that_a_password_would_help_is_said(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        polkit = await Polkit().join(served)
        polkit.reply = ("(bba{ss})", [[False, True, {}]])
        assert "password" in await call_as_nobody(served, "Commit")

    with_server(tmp_path, test)


@pytest.mark.parametrize(
    "reply",
    [("", []), ("b", [True]), ("(bb)", [[True, True]]), ("s", ["yes"]), ("v", [Variant("b", True)])],
)
def test_an_answer_of_polkit_that_makes_no_sense_is_a_no(tmp_path: Path, reply: tuple[str, list[Any]]) -> None:
    async def test(served: Served) -> None:
        polkit = await Polkit().join(served)
        polkit.reply = reply
        assert "makes no sense" in await call_as_nobody(served, "Commit")
        assert served.service.calls == []

    with_server(tmp_path, test)


@pytest.mark.parametrize("error", ["org.freedesktop.PolicyKit1.Error.Failed", "org.freedesktop.DBus.Error.NoReply"])
def test_an_error_of_polkit_is_a_no(tmp_path: Path, error: str) -> None:
    async def test(served: Served) -> None:
        polkit = await Polkit("commit").join(served)
        polkit.error = error
        assert "only root may do that" in await call_as_nobody(served, "Commit")
        assert served.service.calls == []

    with_server(tmp_path, test)


def test_users_have_holds_of_their_own(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        await Polkit("inhibit").join(served)
        arguments = ["install", "me", "busy", "block", 0]
        root, other = await served.peer(), await served.peer(NOBODY)
        held = [(await root.ask("Inhibit", "sssst", *arguments)).unix_fds[0] for _ in range(MOST_PER_USER)]
        held += [(await other.ask("Inhibit", "sssst", *arguments)).unix_fds[0] for _ in range(MOST_PER_USER)]
        for peer in (root, other):
            reply = await peer.ask("Inhibit", "sssst", *arguments)
            assert reply.error_name == names.ERROR_PREFIX + "LimitExceeded"
        close_all(held)

    with_server(tmp_path, test)


# --- Mender's names


@pytest.mark.parametrize(
    ("name", "path", "method", "arguments"),
    [
        (names.AUTH_NAME, names.AUTH_PATH, f"{names.AUTH_INTERFACE}.GetJwtToken", []),
        (names.AUTH_NAME, names.AUTH_PATH, f"{names.AUTH_INTERFACE}.FetchJwtToken", []),
        (names.UPDATE_NAME, names.UPDATE_PATH, f"{names.UPDATE_INTERFACE}.SetUpdateControlMap", ["{}"]),
        # The same connection has all names, and the policy must not let it in by another one.
        (names.NAME, names.AUTH_PATH, f"{names.AUTH_INTERFACE}.GetJwtToken", []),
        (names.NAME, names.UPDATE_PATH, f"{names.UPDATE_INTERFACE}.SetUpdateControlMap", ["{}"]),
    ],
)
@pytest.mark.parametrize("policy", ["", '<policy context="mandatory"><allow send_destination="*"/></policy>'])
def test_the_interfaces_of_mender_are_for_root(
    tmp_path: Path, name: str, path: str, method: str, arguments: list[str], policy: str
) -> None:
    async def test(served: Served) -> None:
        served.service.login = ("secret", "https://server")
        await Polkit(*(kind.value for kind in Kind)).join(served)
        said = await served.stranger(*gdbus_call(method, *arguments, name=name, path=path), user="nobody")
        assert said.code != 0
        assert "secret" not in said.out
        assert names.ACCESS_DENIED in said.err
        assert served.service.calls == []
        # The bus itself refuses by its policy; were that to let everybody in, we do.
        assert ("only root may use this interface" in said.err) == bool(policy)

    with_server(tmp_path, test, more=policy)


@pytest.mark.parametrize(("uid", "hears"), [(NOBODY, False), (0, True)])
def test_a_token_is_told_to_root_only(tmp_path: Path, uid: int, hears: bool) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer(uid)
        await peer.listen("type='signal'")
        served.service.logged_in("secret", "https://server")
        served.service.show(View(state="download", update_id="u1"))
        await peer.until(lambda message: message.member == "StateChanged")
        assert bool(peer.signals("JwtTokenStateChange")) == hears

    with_server(tmp_path, test)


# --- the files


def test_every_action_is_in_the_policy_file_and_none_else() -> None:
    found = [action.attrib["id"] for action in ET.parse(ACTIONS).getroot().iterfind("action")]
    assert found == [names.ACTION_PREFIX + kind.value for kind in Kind]


def test_every_method_says_what_it_needs() -> None:
    assert set(NEEDS) == set(CALLS)
    assert {kind for kind in NEEDS.values() if kind} | {Kind.CONTINUE_FORCE} == set(Kind)


def test_people_at_the_device_may_hold_and_only_administrators_change_it_for_good() -> None:
    defaults = {
        action.attrib["id"].removeprefix(names.ACTION_PREFIX): {
            one.tag: one.text for one in action.iterfind("defaults/*")
        }
        for action in ET.parse(ACTIONS).getroot().iterfind("action")
    }
    free = {name for name, one in defaults.items() if one["allow_active"] == "yes"}
    assert free == {"check", "pause", "continue", "inhibit"}
    for one in defaults.values():
        assert one["allow_any"] == one["allow_inactive"] == "auth_admin"
        assert one["allow_active"] in {"yes", "auth_admin_keep"}


@pytest.mark.parametrize(("uid", "trusted"), [(0, True), (os.geteuid(), True), (4711, False)])
def test_root_and_the_user_of_the_daemon_are_trusted(uid: int, trusted: bool) -> None:
    assert Caller(name=":1.1", uid=uid, interactive=False).trusted is trusted


@pytest.mark.parametrize(("uid", "shown"), [(0, "user root"), (987654, "user 987654")])
def test_a_caller_is_shown_as_a_user_also_if_nobody_knows_the_name(uid: int, shown: str) -> None:
    assert Caller(name=":1.1", uid=uid, interactive=False).shown == shown


async def _own(peer: Peer, name: str) -> Message:
    driver = {"destination": names.DRIVER, "path": names.DRIVER_PATH, "interface": names.DRIVER}
    return await peer.ask("RequestName", "su", name, 4, **driver)


@pytest.mark.parametrize("name", [names.NAME, names.AUTH_NAME, names.UPDATE_NAME])
def test_only_root_may_own_the_names(tmp_path: Path, name: str) -> None:
    async def test(served: Served) -> None:
        await served.server.stop()
        said = await served.stranger(
            *busctl("call", names.DRIVER, names.DRIVER_PATH, names.DRIVER, "RequestName", "su", name, "4"),
            user="nobody",
        )
        assert said.code != 0
        peer = await served.peer()
        assert (await _own(peer, name)).body == [1]

    with_server(tmp_path, test)
