"""The pool as text for the store: how long each map still lives, so that lives go on across reboots."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bistable.client.errors import StoreError
from bistable.client.maps.entry import LOCAL_MAPS, Entry, Key
from bistable.client.maps.evaluate import Question
from bistable.client.maps.model import ControlMap, MapError, Source, encode_map
from bistable.client.maps.offline import OfflinePolicy
from bistable.client.maps.parse import read_map
from bistable.client.maps.pool import Asked, Pool
from bistable.client.model import Point

KEEP_KEY: Final = "update-control-maps"
"""The key in the store; it was that of the existing client in Go, too."""

_LONGEST: Final = 10 * 365 * 86400.0
_MOST: Final = LOCAL_MAPS + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now: in which boot, and by the clock that counts from its beginning on (CLOCK_BOOTTIME, in seconds)."""

    boot_id: str
    now: float


def encode_pool(pool: Pool, moment: Moment) -> str:
    """Return the pool as JSON."""
    maps = [
        {
            "map": encode_map(entry.control_map),
            "source": entry.source.value,
            "scoped": entry.scoped,
            "life": entry.life,
            "left": entry.expires - moment.now,
            "executed": sorted(point.value for point in entry.executed),
        }
        for entry in pool.entries.values()
    ]
    asked = None if pool.asked is None else _asked_values(pool.asked)
    return json.dumps({"boot_id": moment.boot_id, "now": moment.now, "maps": maps, "asked": asked}, sort_keys=True)


def decode_pool(text: str, moment: Moment, policy: OfflinePolicy, *, boot_life: float) -> Pool:
    """Return the pool that was encoded, here or by the client in Go, whose active maps live for `boot_life` seconds.

    Within the same boot all time is counted. After another one the time until now is, but takes at most half of what is
    left, so that whoever has to refresh a map gets to it; the time without power is not counted.

    Raises:
        StoreError: it makes no sense at all. Single maps that make none are left out.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise StoreError(f"cannot read the update control maps in the store: {e}") from e
    if not isinstance(raw, dict):
        raise StoreError("cannot read the update control maps in the store: they are not an object")
    if "maps" not in raw:
        return _taken_over(raw, moment, policy, boot_life)
    elapsed = _elapsed(raw, moment)
    entries: dict[Key, Entry] = {}
    whole = True
    for values in _list(raw["maps"]):
        entry = _entry(values, moment.now, elapsed)
        whole = whole and entry is not None
        if entry is not None:
            entries[entry.key] = entry
    # An answer that depended on what cannot be read any more is no answer.
    asked = _asked(raw.get("asked"), entries) if whole else None
    return Pool(policy=policy, entries=entries, asked=asked)


def _elapsed(raw: Mapping[str, Any], moment: Moment) -> Callable[[float], float]:
    """Return what tells how much of the time that is left for a map went by since it was kept."""
    kept = raw.get("now")
    if raw.get("boot_id") == moment.boot_id and isinstance(kept, int | float) and _is_number(kept):
        same_boot = max(moment.now - kept, 0.0)
        return lambda _left: same_boot
    return lambda left: min(moment.now, left / 2) if left > 0 else moment.now


def _entry(values: Any, now: float, elapsed: Callable[[float], float]) -> Entry | None:
    try:
        control_map = read_map(values["map"])
        life, left = values["life"], values["left"]
        if not (_is_number(life) and _is_number(left) and 0 < life <= _LONGEST):
            return None
        left = min(left, life)
        return Entry(
            control_map=control_map,
            source=Source(values["source"]),
            stamped=now + left - elapsed(left) - life,
            life=life,
            scoped=values["scoped"] is True or values["source"] == Source.SERVER.value,
            executed=frozenset(Point(point) for point in values["executed"]),
        )
    except (MapError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _list(value: Any) -> list[Any]:
    return value[:_MOST] if isinstance(value, list) else []


def _asked_values(asked: Asked) -> dict[str, Any]:
    question = asked.question
    return {
        "point": question.point.value,
        "deployment": question.deployment,
        "waived": sorted(source.value for source in question.waived),
        "over": sorted(_key_values(key) for key in asked.over),
        "executed": sorted(_key_values(key) for key in asked.executed),
    }


def _asked(values: Any, entries: Mapping[Key, Entry]) -> Asked | None:
    try:
        question = Question(
            point=Point(values["point"]),
            deployment=values["deployment"],
            waived=frozenset(Source(source) for source in values["waived"]),
        )
        over = frozenset(_key(*key) for key in values["over"])
        executed = frozenset(_key(*key) for key in values["executed"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    known = over | executed <= set(entries)
    return Asked(question=question, over=over, executed=executed) if known else None


def _key_values(key: Key) -> list[Any]:
    return [key.source.value, key.id, key.priority]


def _key(source: Any, identifier: Any, priority: Any) -> Key:
    return Key(Source(source), identifier, priority)


# --- from the client in Go


def _taken_over(raw: Mapping[str, Any], moment: Moment, policy: OfflinePolicy, boot_life: float) -> Pool:
    """Its maps have neither a source nor times. What a server sent comes from it again when it is asked."""
    entries: dict[Key, Entry] = {}
    for name, stamped in (("active", moment.now), ("expired", moment.now - boot_life)):
        for values in _list(raw.get(name)):
            control_map = _legacy_map(values)
            if control_map is not None and control_map.states:
                entry = Entry(control_map=control_map, source=Source.LOCAL, stamped=stamped, life=boot_life)
                entries[entry.key] = entry
    return Pool(policy=policy, entries=entries)


def _legacy_map(values: Any) -> ControlMap | None:
    try:
        return read_map(values)
    except (MapError, AttributeError):
        return None
