"""Where somebody at the device wants the update in progress to wait. Kept across restarts and reboots."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

from bistable.client.deployment.keptmaps import Values
from bistable.client.errors import UsageError
from bistable.client.model import Point

PAUSES_KEY: Final = "pauses"
"""The key in the store."""

WORDS: Final = 200
"""Characters that are kept of who asked, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Who wants the update to wait at a point, and why."""

    who: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pauses:
    deployment: str = ""
    points: Mapping[Point, Pause] = field(default_factory=dict)


class KeptPauses:
    """The pauses of one deployment: there is one at a time. Every method may be called from any thread."""

    def __init__(self, store: Values) -> None:
        self._store = store
        self._lock = Lock()
        self._pauses = _decode(store.value(PAUSES_KEY))

    def ask(
        self, points: Collection[Point], deployment: str, pause: Pause, *, opened: Collection[Point] = frozenset()
    ) -> None:
        """Have a deployment wait at some points until somebody lets it go on.

        `opened` are the points at which somebody has already, but for the one where it waits now.

        Raises:
            UsageError: one of the points is among those.
            StoreError: it cannot be kept; nothing has changed.
        """
        for point in points:
            if point in opened:
                raise UsageError(
                    f"cannot pause before the {point.value}: somebody already said that it shall go on there",
                    hint="it can still be aborted",
                )
        kept = Pause(who=pause.who[:WORDS], why=pause.why[:WORDS])
        with self._lock:
            before = self._pauses.points if self._pauses.deployment == deployment else {}
            self._keep(_Pauses(deployment=deployment, points={**before, **dict.fromkeys(points, kept)}))

    def take_back(self, point: Point, deployment: str) -> None:
        """Have it not wait at a point any more.

        Raises:
            StoreError: it cannot be kept; nothing has changed.
        """
        with self._lock:
            if self._pauses.deployment == deployment and point in self._pauses.points:
                left = {one: pause for one, pause in self._pauses.points.items() if one is not point}
                self._keep(_Pauses(deployment=deployment, points=left))

    def at(self, point: Point, deployment: str) -> Pause | None:
        """Return who wants a deployment to wait at a point; None if nobody does."""
        with self._lock:
            return self._pauses.points.get(point) if self._pauses.deployment == deployment else None

    def points(self, deployment: str) -> frozenset[Point]:
        """Return where a deployment is wanted to wait."""
        with self._lock:
            return frozenset(self._pauses.points) if self._pauses.deployment == deployment else frozenset()

    def end_deployment(self, deployment: str) -> None:
        """Forget the pauses of a deployment that is over.

        Raises:
            StoreError: it cannot be kept; nothing has changed.
        """
        with self._lock:
            if self._pauses.deployment == deployment:
                self._keep(_Pauses())

    def _keep(self, pauses: _Pauses) -> None:
        self._store.keep_value(PAUSES_KEY, _encode(pauses))
        self._pauses = pauses


def _encode(pauses: _Pauses) -> str:
    if not pauses.points:
        return ""
    points = {point.value: {"who": pause.who, "why": pause.why} for point, pause in pauses.points.items()}
    return json.dumps({"deployment": pauses.deployment, "points": points}, sort_keys=True)


def _decode(text: str | None) -> _Pauses:
    """Return the pauses that were encoded. One whose words make no sense is still one: it is safer to wait."""
    if not text:
        return _Pauses()
    try:
        raw: dict[str, Any] = json.loads(text)
        known = {point.value: point for point in Point}
        points = {known[key]: _pause(value) for key, value in raw["points"].items() if key in known}
        return _Pauses(deployment=str(raw["deployment"]), points=points)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return _Pauses()


def _pause(value: Any) -> Pause:
    words = value if isinstance(value, dict) else {}
    return Pause(who=str(words.get("who", "somebody")), why=str(words.get("why", "")))
