"""A map in the pool: with its source and its life, which is measured by the clock that counts from the boot on."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from bistable.client.maps.model import Action, ControlMap, Source
from bistable.client.maps.offline import OfflinePolicy
from bistable.client.model import Point


class Key(NamedTuple):
    """What there can be only one map of."""

    source: Source
    id: str
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A map, since when it is here, and for how long it lives; in seconds of CLOCK_BOOTTIME.

    `stamped` is below zero for a map that is older than this boot.
    """

    control_map: ControlMap
    source: Source
    stamped: float
    life: float
    scoped: bool = False
    """Whether it holds only for the deployment with the map's identifier."""
    executed: frozenset[Point] = frozenset()
    """Where it was asked already, and now says its `on_action_executed`."""

    @property
    def key(self) -> Key:
        """What it replaces, and is replaced by."""
        return Key(self.source, self.control_map.id, self.control_map.priority)

    @property
    def expires(self) -> float:
        """When it expires."""
        return self.stamped + self.life

    def refresh_at(self, ask_every: float) -> float:
        """Return when it should be refreshed: at half of its life, and earlier if more is asked for."""
        return self.stamped + min(self.life / 2, ask_every)

    def applies_to(self, deployment: str) -> bool:
        """Return whether it has a say in a deployment."""
        return not self.scoped or self.control_map.id == deployment

    def over(self, point: Point, now: float, policy: OfflinePolicy) -> bool:
        """Return whether what it says at a point is outdated by now."""
        end = self._end(point, policy)
        return end is not None and now >= end

    def action(self, point: Point, now: float, policy: OfflinePolicy) -> Action:
        """Return what it says at a point that it has a rule for."""
        rule = self.control_map.states[point]
        if not self.over(point, now, policy):
            return rule.on_action_executed if point in self.executed else rule.action
        return policy.end if self._left_to(point) else rule.on_map_expire

    def until(self, point: Point, now: float, policy: OfflinePolicy) -> float | None:
        """Return when its life ends what it says at a point; None if that is past, or will not be."""
        end = self._end(point, policy)
        return None if end is None or now >= end else end

    def _end(self, point: Point, policy: OfflinePolicy) -> float | None:
        return policy.end_of(self.expires) if self._left_to(point) else self.expires

    def _left_to(self, point: Point) -> bool:
        """Whether it is left to the policy what its expiry means: a server that told it itself is obeyed."""
        rule = self.control_map.states.get(point)
        return (
            self.source is Source.SERVER and rule is not None and rule.action is Action.PAUSE and not rule.expiry_told
        )

    def asked_at(self, point: Point) -> "Entry":
        """Return it as it is after it was asked at a point."""
        return replace(self, executed=self.executed | {point})

    def never_asked_at(self, point: Point) -> "Entry":
        """Return it as it was before it was asked at a point."""
        return replace(self, executed=self.executed - {point})


LOCAL_MAPS: Final = 100
"""Maps from applications that are kept; each application needs one, or a few with different priorities."""
