"""What an update control map says, as frozen values, and what can be wrong with one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Self

from bistable.client.errors import ClientError
from bistable.client.model import Point


class MapError(ClientError):
    """An update control map is not valid, or there are too many; `pointer` is the JSON pointer to the fault."""

    code = "map"

    def __init__(self, what: str, *, pointer: str = "", hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.pointer = pointer


class Action(Enum):
    """What a map says at a point. The values are those on the wire."""

    CONTINUE = "continue"
    """Nothing: others decide."""
    FORCE_CONTINUE = "force_continue"
    """Go on, whatever maps of lower priority say."""
    PAUSE = "pause"
    """Wait."""
    FAIL = "fail"
    """Stop the update, and undo it."""


class Source(Enum):
    """Where a map comes from."""

    SERVER = "server"
    """With the deployment, from its server; it holds for that deployment only."""
    LOCAL = "local"
    """From an application on the device."""


STATE_KEYS: Final[Mapping[str, Point]] = {
    "ArtifactInstall_Enter": Point.INSTALL,
    "ArtifactReboot_Enter": Point.REBOOT,
    "ArtifactCommit_Enter": Point.COMMIT,
}
"""Key below `states` -> the point it is about. The wire has no key for the download, so no map can hold that."""

ON_EXPIRE: Final = (Action.CONTINUE, Action.FORCE_CONTINUE, Action.FAIL)
"""What an expired map may say: all but pause, for what nobody refreshes must not hold a device for ever."""

LOWEST: Final = -10
HIGHEST: Final = 10
"""Priorities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a map says at one point: now, once it is expired, and after it was asked for the first time."""

    action: Action
    on_map_expire: Action
    on_action_executed: Action
    expiry_told: bool = False
    """Whether `on_map_expire` was in the map, or is the default."""

    @classmethod
    def of(
        cls,
        action: Action | None = None,
        on_map_expire: Action | None = None,
        on_action_executed: Action | None = None,
    ) -> Self:
        """Return the rule, with the defaults for what is not said."""
        action = action or Action.CONTINUE
        expired = Action.FAIL if action is Action.PAUSE else action
        return cls(
            action=action,
            on_map_expire=on_map_expire or expired,
            on_action_executed=on_action_executed or action,
            expiry_told=on_map_expire is not None,
        )

    @property
    def says_nothing(self) -> bool:
        """Whether the rule could as well be missing."""
        return {self.action, self.on_map_expire, self.on_action_executed} == {Action.CONTINUE}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMap:
    """An update control map. Rules that say nothing are not in it."""

    id: str
    priority: int = 0
    states: Mapping[Point, Rule] = field(default_factory=dict)


def encode_map(control_map: ControlMap) -> dict[str, Any]:
    """Return the map in the form that it has on the wire."""
    states: dict[str, Any] = {}
    for key, point in STATE_KEYS.items():
        if (rule := control_map.states.get(point)) is not None:
            states[key] = {"action": rule.action.value, "on_action_executed": rule.on_action_executed.value}
            if rule.expiry_told:
                states[key]["on_map_expire"] = rule.on_map_expire.value
    return {"id": control_map.id, "priority": control_map.priority, "states": states}
