"""Logging in: what is sent, what the answers mean, and which server it ends at."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_answers import dropping, garbage, page, refusing, saying
from client_login import IDENTITY, Client, client_of, nobody_listens
from client_server import FakeServer, make_token

from bistable.client.errors import ConfigError, ProgramError
from bistable.client.server import DeviceKey, TransientServerError
from bistable.client.server.keys import make_key


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> DeviceKey:
    return make_key(tmp_path_factory.mktemp("key") / "key.pem")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as found:
        yield found


@pytest.fixture
def other() -> Iterator[FakeServer]:
    with FakeServer() as found:
        yield found


def device(*servers: FakeServer | str, key: DeviceKey, **more: Any) -> Client:
    return client_of(*servers, key=key, **more)


def test_the_request_is_the_one_that_servers_know(server: FakeServer, key: DeviceKey) -> None:
    device(server, key=key, tenant_token="tenant").authenticator.login()
    [asked] = server.logins
    assert asked.line == "POST /api/devices/v1/authentication/auth_requests"
    assert asked.fields["content-type"] == "application/json"
    assert set(asked.json) == {"id_data", "pubkey", "tenant_token"}
    assert asked.json["pubkey"] == key.public_pem
    assert asked.json["tenant_token"] == "tenant"
    identity = json.loads(asked.json["id_data"])
    assert identity == {"mac": ["02:00:00:00:00:02", "02:00:00:00:00:01"], "hostname": IDENTITY["hostname"]}


def test_the_identity_is_the_same_text_every_time(server: FakeServer, key: DeviceKey) -> None:
    order = [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}]
    client = device(server, key=key, identity=order.pop)
    client.authenticator.login()
    client.authenticator.login()
    assert server.logins[0].json["id_data"] == server.logins[1].json["id_data"] == '{"a":"1","b":"2"}'


def test_without_an_owner_the_tenant_token_is_empty(server: FakeServer, key: DeviceKey) -> None:
    device(server, key=key).authenticator.login()
    assert server.logins[0].json["tenant_token"] == ""


def test_the_token_and_its_server_are_told_when_they_change(server: FakeServer, key: DeviceKey) -> None:
    client = device(server, key=key)
    standing = client.authenticator.login()
    assert (standing.server, standing.token, standing.pending) == (server.url, make_token(1), False)
    assert client.authenticator.standing == standing
    server.accepts = False
    client.authenticator.login()
    client.authenticator.login()
    assert [(change.server, change.token) for change in client.changes] == [(server.url, make_token(1)), (None, None)]


def test_a_device_that_is_not_accepted_yet_waits_without_an_error(server: FakeServer, key: DeviceKey) -> None:
    server.accepts = False
    client = device(server, key=key)
    assert client.authenticator.login().pending
    assert client.changes == []
    server.accepts = True
    assert client.authenticator.login().token == make_token(2)
    assert not client.authenticator.standing.pending


def test_a_login_takes_the_first_server_that_lets_the_device_in(
    server: FakeServer, other: FakeServer, key: DeviceKey
) -> None:
    server.accepts = False
    client = device(nobody_listens(), server, other, key=key)
    assert client.authenticator.login().server == other.url


def test_a_server_that_took_the_device_is_asked_first_the_next_time(
    server: FakeServer, other: FakeServer, key: DeviceKey
) -> None:
    server.accepts = False
    client = device(server, other, key=key)
    client.authenticator.login()
    server.accepts = True
    assert client.authenticator.login().server == other.url
    assert len(server.logins) == 1


def test_one_server_that_refuses_is_enough_to_be_pending(server: FakeServer, key: DeviceKey) -> None:
    server.accepts = False
    assert device(nobody_listens(), server, key=key).authenticator.login().pending


def test_a_server_out_of_reach_does_not_end_a_login(server: FakeServer, key: DeviceKey) -> None:
    client = device(server, key=key)
    before = client.authenticator.login()
    server.fail("login", dropping())
    with pytest.raises(TransientServerError, match="cannot log in"):
        client.authenticator.login()
    assert client.authenticator.standing == before


@pytest.mark.parametrize(
    "fault",
    [
        dropping(),
        dropping(30),
        refusing(500),
        refusing(503),
        refusing(400),
        page(200),
        page(401),
        saying(200, "not a token"),
        saying(200, ""),
        saying(200, b"\xff" * 100),
        saying(200, "a.b.c" * 10_000),
        saying(302, Location="http://portal.example/"),
        garbage(b"SSH-2.0-OpenSSH\r\n"),
        garbage(b"\0" * 1000),
    ],
)
def test_what_is_no_answer_to_a_login_may_be_one_later(fault: object, server: FakeServer, key: DeviceKey) -> None:
    server.fail("login", fault)  # type: ignore[arg-type]
    client = device(server, key=key)
    with pytest.raises(TransientServerError):
        client.authenticator.login()
    assert client.authenticator.standing.token is None
    assert not client.authenticator.standing.pending
    assert client.authenticator.login().token is not None


def test_a_server_that_asks_for_patience_is_heard(server: FakeServer, key: DeviceKey) -> None:
    server.fail("login", saying(429, Retry_After="77"))
    with pytest.raises(TransientServerError) as raised:
        device(server, key=key).authenticator.login()
    assert raised.value.retry_after == 77


def test_a_server_that_does_not_believe_the_signature_leaves_the_device_pending(
    server: FakeServer, key: DeviceKey, tmp_path: Path
) -> None:
    class Impostor:
        public_pem = key.public_pem

        def sign(self, message: bytes) -> bytes:
            return make_key(tmp_path / "other.pem").sign(message)

    assert client_of(server, key=Impostor()).authenticator.login().pending
    assert server.wrong_logins == ["wrong signature"]


def test_without_an_identity_nothing_is_sent(server: FakeServer, key: DeviceKey) -> None:
    def broken() -> dict[str, str]:
        raise ProgramError("cannot tell the device's identity: it printed nothing")

    with pytest.raises(ProgramError):
        device(server, key=key, identity=broken).authenticator.login()
    assert server.asked == []


@pytest.mark.parametrize("servers", [[], ["ftp://a"], ["http://"]], ids=str)
def test_servers_that_cannot_be_asked_are_told_at_once(servers: list[str], key: DeviceKey) -> None:
    with pytest.raises(ConfigError):
        client_of(*servers, key=key)


def test_no_secret_is_in_what_objects_show(server: FakeServer, key: DeviceKey) -> None:
    client = device(server, key=key, tenant_token="hidden")
    shown = repr(client.authenticator.login()) + repr(client.authenticator.__dict__)
    assert make_token(1) not in shown
    assert "hidden" not in shown
