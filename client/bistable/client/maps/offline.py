"""What becomes of a server's pause when the server cannot be asked any more."""

from dataclasses import dataclass
from enum import Enum

from bistable.client.maps.model import Action


class WhenOffline(Enum):
    """What is done once a server's map, which pauses, is expired."""

    STAY = "stay"
    """Wait on, as if it were not expired: nothing is wrong with the device."""
    CONTINUE = "continue"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflinePolicy:
    """What an expired map of a server says where it paused and said nothing about its expiry.

    The server is asked long before a map expires, so an expired one means that the server could not be reached for as
    long as the map lives. `limit` is for how many further seconds nothing changes; STAY has no limit.
    """

    when_offline: WhenOffline = WhenOffline.STAY
    limit: float = 0.0

    def end_of(self, expires: float) -> float | None:
        """Return when a pause ends whose map expires at some time; None if it does not."""
        return None if self.when_offline is WhenOffline.STAY else expires + self.limit

    @property
    def end(self) -> Action:
        """What is said then."""
        return Action.FAIL if self.when_offline is WhenOffline.FAIL else Action.CONTINUE
