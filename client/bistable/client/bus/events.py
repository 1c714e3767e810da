"""What is told to who watches; apart from the client, so that words for people need no D-Bus library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

STARTED: Final = "started"
STOPPED: Final = "stopped"
CHANGED: Final = "changed"
STATE_CHANGED: Final = "state-changed"
HELD: Final = "held"
ENDED: Final = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusEvent:
    """Something that the daemon told, or that it stopped or started; `values` by name.

    `started` and `changed` have properties, all or those that changed; the others what their signal has.
    """

    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
