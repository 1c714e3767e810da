"""A device that talks to fake servers, without ever really waiting."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client_http import Waiting
from client_server import FakeServer

from bistable.client.server import (
    Authenticator,
    Credentials,
    Deployments,
    DeviceKey,
    Door,
    Inventory,
    Session,
    Standing,
)
from bistable.client.server.keys import read_key

IDENTITY: Mapping[str, Any] = {"mac": ("02:00:00:00:00:02", "02:00:00:00:00:01"), "hostname": 'a"b\\c é'}


class Memory:
    """Keeps single values, as the store does."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def value(self, key: str) -> str | None:
        return self.values.get(key)

    def keep_value(self, key: str, value: str) -> None:
        self.values[key] = value


@dataclass
class Client:
    """All that talks to the server, by the same settings."""

    door: Door
    authenticator: Authenticator
    session: Session
    waiting: Waiting
    memory: Memory = field(default_factory=Memory)
    changes: list[Standing] = field(default_factory=list)

    @property
    def deployments(self) -> Deployments:
        return Deployments(self.session)

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.session, self.memory)


def client_of(
    *servers: "FakeServer | str",
    key: DeviceKey,
    tenant_token: str | None = None,
    identity: Callable[[], Mapping[str, Any]] = lambda: IDENTITY,
    **settings: Any,
) -> Client:
    """Return a device for these servers, in this order; `settings` are those of fetch."""
    if "certificate_key" in settings:
        settings["key"] = settings.pop("certificate_key")
    waiting = Waiting()
    seconds = settings.pop("seconds", 60.0)
    door = Door(waiting.settings(**settings), seconds=seconds)
    changes: list[Standing] = []
    authenticator = Authenticator(
        [server if isinstance(server, str) else server.url for server in servers],
        door,
        Credentials(identity=identity, key=lambda: key, tenant_token=tenant_token),
        on_change=changes.append,
    )
    return Client(door, authenticator, Session(door, authenticator), waiting, changes=changes)


def nobody_listens() -> str:
    """Return the address of a server that is not there."""
    with FakeServer() as server:
        return server.url


def key_in(folder: Path, text: bytes) -> DeviceKey:
    path = folder / "key.pem"
    path.write_bytes(text)
    path.chmod(0o600)
    return read_key(path)
