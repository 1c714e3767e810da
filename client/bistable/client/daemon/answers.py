"""What the service answers to questions, in the forms of D-Bus, and who hears of a login."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bistable.client.server import Standing

if TYPE_CHECKING:
    from bistable.client.deployment.keptmaps import KeptMaps
    from bistable.client.store import Ended


def describe_maps(maps: "KeptMaps", update_id: str) -> str:
    """Return all maps, and what they come to for an update (empty: for any), as JSON."""
    from bistable.client.maps import encode_map

    listed = [
        {"source": entry.source.value, "map": encode_map(entry.control_map)} for entry in maps.pool().entries.values()
    ]
    comes_to = {}
    for point, decision in maps.merged(update_id).items():
        by = [f"{voice.source.value}:{voice.id}" for voice in decision.by]
        comes_to[point.value] = {"action": decision.action.value, "by": by}
    return json.dumps({"maps": listed, "merged": comes_to}, sort_keys=True)


def describe_ended(update: "Ended") -> Mapping[str, str]:
    """Return an update that ended, with the keys that `bistablectl history` has."""
    names = ("id", "artifact", "result", "error", "where")
    return {
        **{name: getattr(update, name) or "" for name in names},
        "began": f"{update.began:.0f}",
        "ended": f"{update.ended:.0f}",
    }


def describe_token(standing: Standing) -> tuple[str, str]:
    """Return the token and the address of the server that gave it; empty if there is none."""
    return standing.token or "", standing.server or ""


class Tokens:
    """Tells listeners of each login attempt, and counts how often it has."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[str, str], None]] = []
        self.told = 0

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        """Have `listener` called with token and address."""
        self._listeners.append(listener)

    def tell(self, standing: Standing) -> None:
        """Tell what a login came to."""
        self.told += 1
        for listener in self._listeners:
            listener(*describe_token(standing))
