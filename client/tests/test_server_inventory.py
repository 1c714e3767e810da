"""The inventory: sent when it has changed, all of it, and to whoever is the server."""

from collections.abc import Iterator

import pytest
from client_answers import refusing
from client_login import Client, client_of
from client_server import INVENTORY, FakeServer

from bistable.client.errors import ServerError
from bistable.client.server import DeviceKey
from bistable.client.server.keys import make_key

ATTRIBUTES = {"device_type": "board", "mac": ("a", "b")}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> DeviceKey:
    return make_key(tmp_path_factory.mktemp("key") / "key.pem")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as found:
        yield found


@pytest.fixture
def client(server: FakeServer, key: DeviceKey) -> Client:
    return client_of(server, key=key)


def sent(server: FakeServer) -> list[str]:
    return [asked.line for asked in server.of("inventory")]


def test_attributes_are_sent_as_servers_know_them(client: Client, server: FakeServer) -> None:
    assert client.inventory.send_changed(ATTRIBUTES)
    assert sent(server) == [f"PUT {INVENTORY}"]
    assert server.of("inventory")[0].json == [
        {"name": "device_type", "value": "board"},
        {"name": "mac", "value": ["a", "b"]},
    ]


def test_what_has_not_changed_is_not_sent_again(client: Client, server: FakeServer) -> None:
    assert client.inventory.send_changed(ATTRIBUTES)
    assert not client.inventory.send_changed(dict(reversed(ATTRIBUTES.items())))
    assert client.inventory.send_changed({**ATTRIBUTES, "new": "1"})
    assert len(sent(server)) == 2


def test_all_is_sent_on_request(client: Client, server: FakeServer) -> None:
    client.inventory.send(ATTRIBUTES)
    client.inventory.send(ATTRIBUTES)
    assert len(sent(server)) == 2
    assert not client.inventory.send_changed(ATTRIBUTES)


def test_another_server_is_told_all(client: Client, server: FakeServer, key: DeviceKey) -> None:
    client.inventory.send_changed(ATTRIBUTES)
    with FakeServer() as other:
        moved = client_of(other, key=key)
        moved.memory = client.memory
        assert moved.inventory.send_changed(ATTRIBUTES)
        assert len(sent(other)) == 1


def test_what_did_not_arrive_is_sent_the_next_time(client: Client, server: FakeServer) -> None:
    server.fail("inventory", refusing(400))
    with pytest.raises(ServerError, match="cannot send the inventory"):
        client.inventory.send_changed(ATTRIBUTES)
    assert client.inventory.send_changed(ATTRIBUTES)


def test_a_server_that_can_only_add_is_asked_to_add(client: Client, server: FakeServer) -> None:
    server.takes_put = False
    assert client.inventory.send_changed(ATTRIBUTES)
    assert sent(server) == [f"PUT {INVENTORY}", f"PATCH {INVENTORY}"]
    assert not client.inventory.send_changed(ATTRIBUTES)
