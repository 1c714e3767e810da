"""Update control maps from untrusted JSON, with the rules of the client that they were invented for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from bistable.artifact.errors import RejectedError, quoted
from bistable.artifact.jsonio import parse_object
from bistable.client.maps.model import (
    HIGHEST,
    LOWEST,
    ON_EXPIRE,
    STATE_KEYS,
    Action,
    ControlMap,
    MapError,
    Rule,
)
from bistable.client.model import Point

MAP_SIZE: Final = 16 * 1024
"""Bytes of JSON. The longest map that means something has well below one thousand."""

_DEPTH: Final = 8
_UUID: Final = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Field(Enum):
    """The fields of a map."""

    ID = "id"
    PRIORITY = "priority"
    STATES = "states"


class StateField(Enum):
    """The fields of a state in a map."""

    ACTION = "action"
    ON_MAP_EXPIRE = "on_map_expire"
    ON_ACTION_EXECUTED = "on_action_executed"


def parse_map(text: str, *, required_id: str | None = None) -> ControlMap:
    """Return the map that `text` holds; see `read_map`.

    Raises:
        MapError: it is not a valid map.
    """
    try:
        # With surrogates let through, so that it is the parser that finds them.
        raw = parse_object(
            text.encode("utf-8", "surrogatepass"), member="the update control map", limit=MAP_SIZE, depth=_DEPTH
        )
    except RejectedError as e:
        raise MapError(e.what, hint=e.hint) from e
    return read_map(raw, required_id=required_id)


def read_map(raw: Mapping[str, Any], *, required_id: str | None = None) -> ControlMap:
    """Return the map that a parsed JSON object holds.

    With `required_id` the map has that identifier, or none, and then gets it. As in Go, where maps come from, the names
    of fields are taken in any case and null says the same as nothing; the keys below `states` are taken as they are.

    Raises:
        MapError: it is not a valid map.
    """
    fields = _fields(raw, Field, "")
    return ControlMap(
        id=_identifier(fields[Field.ID], required_id),
        priority=_priority(fields[Field.PRIORITY]),
        states=_states(fields[Field.STATES]),
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """A value, None if there is none, and where it stands, or would stand."""

    pointer: str
    value: object = None


def _fields(raw: Mapping[str, Any], known: type[Enum], pointer: str) -> dict[Enum, _Told]:
    found: dict[Enum, _Told] = {}
    for key, value in raw.items():
        field = next((one for one in known if _same(key, one.value)), None)
        here = f"{pointer}/{_escaped(key)}"
        if field is None:
            raise _fault(here, f"there is no field {quoted(key)}", hint=f"fields are {_listed(known)}")
        if field in found:
            raise _fault(here, f"the field {field.value!r} stands there twice, in upper and lower case")
        found[field] = _Told(here, value)
    return {field: found.get(field, _Told(f"{pointer}/{field.value}")) for field in known}


def _same(key: str, name: str) -> bool:
    """Compare as Go does: folding one character to one, so that a ligature is not two letters."""
    return len(key) == len(name) and key.casefold() == name


def _identifier(told: _Told, required: str | None) -> str:
    value, pointer = told.value, told.pointer
    if value is not None and not isinstance(value, str):
        raise _fault(pointer, "a text is required")
    found = value or required
    if found is None:
        raise _fault(pointer, "it is missing", hint="every map needs an id, which is a UUID")
    if not _UUID.fullmatch(found):
        raise _fault(pointer, f"{quoted(found)} is not a UUID", hint="write it as 8-4-4-4-12 hexadecimal digits")
    if required is not None and found != required:
        raise _fault(pointer, f"it is for {found}, and the deployment is {required}")
    return found


def _priority(told: _Told) -> int:
    value = 0 if told.value is None else told.value
    if not isinstance(value, int) or isinstance(value, bool):
        raise _fault(told.pointer, "a whole number is required")
    if not LOWEST <= value <= HIGHEST:
        raise _fault(told.pointer, f"it must be from {LOWEST} to {HIGHEST}")
    return value


def _states(told: _Told) -> dict[Point, Rule]:
    states: dict[Point, Rule] = {}
    for key, value in _object(told).items():
        here = f"{told.pointer}/{_escaped(key)}"
        if (point := STATE_KEYS.get(key)) is None:
            raise _fault(here, f"there is no state {quoted(key)}", hint=f"states are {', '.join(STATE_KEYS)}")
        rule = _rule(_object(_Told(here, value)), here)
        if not rule.says_nothing:
            states[point] = rule
    return states


def _object(told: _Told) -> Mapping[str, Any]:
    value = {} if told.value is None else told.value
    if not isinstance(value, dict):
        raise _fault(told.pointer, "an object is required")
    return value


def _rule(raw: Mapping[str, Any], pointer: str) -> Rule:
    fields = _fields(raw, StateField, pointer)
    return Rule.of(
        action=_action(fields[StateField.ACTION], tuple(Action)),
        on_map_expire=_action(fields[StateField.ON_MAP_EXPIRE], ON_EXPIRE),
        on_action_executed=_action(fields[StateField.ON_ACTION_EXECUTED], tuple(Action)),
    )


def _action(told: _Told, allowed: tuple[Action, ...]) -> Action | None:
    value = told.value
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _fault(told.pointer, "a text is required")
    for action in allowed:
        if action.value == value:
            return action
    hint = f"allowed are {', '.join(one.value for one in allowed)}"
    raise _fault(told.pointer, f"{quoted(value)} is not allowed", hint=hint)


def _fault(pointer: str, why: str, *, hint: str | None = None) -> MapError:
    return MapError(f"cannot use the update control map: {quoted(pointer)[1:-1]}: {why}", pointer=pointer, hint=hint)


def _escaped(key: str) -> str:
    """RFC 6901 §3."""
    return key.replace("~", "~0").replace("/", "~1")


def _listed(known: type[Enum]) -> str:
    return ", ".join(one.value for one in known)
