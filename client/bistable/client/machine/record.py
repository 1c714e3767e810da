"""What the client remembers of an update: one frozen value, and its form in the store."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from bistable.client.errors import StoreError
from bistable.client.machine.states import State
from bistable.client.model import Mode, Offer, Point, RebootNeed, SlotName

LOOP_LIMIT: Final = 30
"""Counted states of one update; the longest way, with every failure and reboot on it, has fewer than half as many."""


class Mark(Enum):
    """How far the action of the current state came, as far as that is remembered."""

    FRESH = "fresh"
    """It may have begun."""
    READY = "ready"
    """Its Enter scripts have been run."""
    STARTED = "started"
    """The step that cannot be taken back was begun: the reboot was asked for, or the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why an update failed: the first error, and the state it happened in."""

    code: str
    what: str
    state: State
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An update and where it is. `boot_id` is that of the boot in which the state was entered, or the mark was set."""

    id: str
    mode: Mode
    state: State
    where: str
    boot_id: str
    offered: bool = False
    """It is a deployment of the server, which wants to know how it goes."""
    mark: Mark = Mark.FRESH
    offer: Offer | None = None
    origin: SlotName | None = None
    target: SlotName | None = None
    supports_rollback: bool | None = None
    reboot_need: RebootNeed | None = None
    install_boot_id: str | None = None
    """The boot in which the installation was done: a reboot has happened when the current one is another."""
    restarted: bool = False
    """The reboot, or the payload's own restart, was begun."""
    transitions: int = 0
    check_seconds: float = 0.0
    """What the checks of the new system have used of their deadline, over all boots."""
    stops: frozenset[State] = frozenset()
    """Where the caller wants it to stop, once each."""
    passes: frozenset[Point] = frozenset()
    """Gates that were opened by hand."""
    forced: frozenset[Point] = frozenset()
    """Those of them that were opened against whoever holds the update there."""
    trouble: Trouble | None = None
    aborted: bool = False
    undo: bool = False
    """Somebody asked for the rollback."""
    rolled_back: bool = False
    inconsistent: bool = False
    """Neither the new nor the old software can be promised to be there whole."""
    committed: bool = False
    began: float = 0.0
    """Wall clock seconds when the update was asked for; as wrong as the clock was."""

    @property
    def failed(self) -> bool:
        """Whether the update, if it ended now, did not end well."""
        return self.trouble is not None or self.aborted or self.undo

    def with_trouble(self, trouble: Trouble) -> "Record":
        """Return the record with an error; the first one stays."""
        return self if self.trouble is not None else replace(self, trouble=trouble)


_SPARE: Final = "state_if_unknown"
"""The key for the state that a client which does not know `state` goes on from. Only later versions have states that
need it, but this version must already look: after a rollback it is the older client that reads what the newer wrote."""

_ENUMS: Final[Mapping[str, type[Enum]]] = {"mode": Mode, "state": State, "mark": Mark, "reboot_need": RebootNeed}
_SETS: Final[Mapping[str, type[Enum]]] = {"stops": State, "passes": Point, "forced": Point}


def encode_record(record: Record) -> str:
    """Return the record as JSON."""
    values: dict[str, Any] = {}
    for name in Record.__dataclass_fields__:
        value = getattr(record, name)
        if isinstance(value, Enum):
            value = value.value
        elif isinstance(value, frozenset):
            value = sorted(item.value for item in value)
        elif isinstance(value, Offer):
            value = {part: getattr(value, part) for part in Offer.__dataclass_fields__}
        elif isinstance(value, Trouble):
            value = {"code": value.code, "what": value.what, "state": value.state.value, "hint": value.hint}
        values[name] = value
    return json.dumps(values, sort_keys=True)


def decode_record(text: str) -> Record:
    """Return the record that was encoded; what a newer client has added is ignored.

    Raises:
        StoreError: it makes no sense.
    """
    try:
        raw: dict[str, Any] = json.loads(text)
        values = {name: raw[name] for name in Record.__dataclass_fields__ if name in raw}
        if values["state"] not in State._value2member_map_:
            values |= {"state": raw[_SPARE], "mark": Mark.FRESH.value}
        for name, enum in _ENUMS.items():
            if values.get(name) is not None:
                values[name] = enum(values[name])
        for name, enum in _SETS.items():
            known = enum._value2member_map_
            values[name] = frozenset(enum(item) for item in values.get(name, ()) if item in known)
        values["offer"] = _offer(values.get("offer"))
        values["trouble"] = _trouble(values.get("trouble"), values["state"])
        return Record(**values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise StoreError(f"cannot read the record of the update in progress: {e}") from e


def _offer(raw: dict[str, Any] | None) -> Offer | None:
    if raw is None:
        return None
    return Offer(
        name=raw["name"],
        payload_type=raw["payload_type"],
        group=raw["group"],
        device_types=tuple(raw["device_types"]),
        provides=raw["provides"],
        depends={key: tuple(values) for key, values in raw["depends"].items()},
        clears=None if raw["clears"] is None else tuple(raw["clears"]),
    )


def _trouble(raw: dict[str, Any] | None, otherwise: State) -> Trouble | None:
    if raw is None:
        return None
    state = State(raw["state"]) if raw["state"] in State._value2member_map_ else otherwise
    return Trouble(code=raw["code"], what=raw["what"], state=state, hint=raw["hint"])
