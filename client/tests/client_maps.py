"""Update control maps for tests, and a store of values in memory."""

import json
from collections.abc import Mapping
from typing import Any

from bistable.client.errors import StoreError
from bistable.client.maps import ControlMap, Question, read_map
from bistable.client.model import Point

DEPLOYMENT = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"
APPLICATION = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
KEYS = {
    Point.INSTALL: "ArtifactInstall_Enter",
    Point.REBOOT: "ArtifactReboot_Enter",
    Point.COMMIT: "ArtifactCommit_Enter",
}


def raw_map(identifier: str = APPLICATION, priority: int = 0, /, **states: str | Mapping[str, str]) -> dict[str, Any]:
    """Return a map as it is on the wire; `install="pause"` is short for an action alone."""
    return {
        "id": identifier,
        "priority": priority,
        "states": {
            KEYS[Point(name)]: {"action": state} if isinstance(state, str) else state for name, state in states.items()
        },
    }


def text_of(identifier: str = APPLICATION, priority: int = 0, /, **states: str | Mapping[str, str]) -> str:
    return json.dumps(raw_map(identifier, priority, **states))


def made(identifier: str = APPLICATION, priority: int = 0, /, **states: str | Mapping[str, str]) -> ControlMap:
    return read_map(raw_map(identifier, priority, **states))


def at(point: Point = Point.INSTALL, deployment: str = DEPLOYMENT) -> Question:
    return Question(point=point, deployment=deployment)


class MemoryValues:
    """What a store keeps under its keys; `fails` as a full disk does."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.writes = 0
        self.fails = False

    def value(self, key: str) -> str | None:
        return self.kept.get(key)

    def keep_value(self, key: str, value: str) -> None:
        if self.fails:
            raise StoreError("cannot write the store: the test says so")
        self.writes += 1
        self.kept[key] = value
