"""Writes what people read about update control maps, from the tables that the client uses."""

from typing import Final

from bistable.client.maps.entry import LOCAL_MAPS
from bistable.client.maps.model import HIGHEST, LOWEST, ON_EXPIRE, STATE_KEYS, Action, Rule
from bistable.client.maps.parse import MAP_SIZE, Field, StateField

INTRODUCTION: Final = """\
# Update control maps

<!-- Written by bistable.client.maps.reference. -->

An update control map says where an update waits, goes on or fails. It comes from the server together with a deployment,
or from an application on the device over D-Bus. [Who may hold an
update](../explanation/who-may-hold-an-update.md) says how maps go together with everything else that holds one.

```json
{
  "id": "0c13e0a8-7e6a-4c7f-9c33-58e0d3d8b7f2",
  "priority": 0,
  "states": {
    "ArtifactInstall_Enter": {"action": "pause"},
    "ArtifactReboot_Enter": {"action": "pause", "on_map_expire": "continue"},
    "ArtifactCommit_Enter": {"action": "force_continue"}
  }
}
```

## Fields
"""

MEANINGS: Final[dict[Field | StateField, tuple[str, str, str]]] = {
    Field.ID: (
        "a UUID",
        "required",
        "Whose map it is. In a map from the server it is the deployment's, and may be missing.",
    ),
    Field.PRIORITY: (f"{LOWEST} to {HIGHEST}", "0", "Which maps are heard first: the highest."),
    Field.STATES: ("an object", "empty", "State to what is said there; the keys are below."),
    StateField.ACTION: (", ".join(f"`{action.value}`" for action in Action), "`continue`", "What is said."),
    StateField.ON_MAP_EXPIRE: (
        ", ".join(f"`{action.value}`" for action in ON_EXPIRE),
        "the action; for `pause` it is `fail`",
        "What is said once the map is expired.",
    ),
    StateField.ON_ACTION_EXECUTED: (
        ", ".join(f"`{action.value}`" for action in Action),
        "the action",
        "What is said from the second question on.",
    ),
}

RULES: Final = f"""\
Field names are taken in any case, states and actions as they are written here. A field or state that is not known is an
error, and so is a key that stands there twice. `null` and `""` are the same as nothing. A map has at most
{MAP_SIZE // 1024} KiB. An error names the place of the fault as a JSON pointer.

A state that says `continue` three times is left out, and a map from an application that then has no states takes away
the one with its id and priority.
"""

ACTIONS: Final = {
    Action.CONTINUE: "Nothing: others decide.",
    Action.FORCE_CONTINUE: "Go on, whatever maps of lower priority say.",
    Action.PAUSE: "Wait.",
    Action.FAIL: "End the update, and undo what was installed.",
}

REST: Final = f"""\
## How several are put together

All maps are heard that apply to the deployment: the server's for this deployment, those of applications, and those of
applications for this deployment only. From the highest priority on:

1. If one of this priority says `fail`, the update fails.
2. Else, if one says `pause`, it waits.
3. Else, if one says `force_continue`, it goes on.
4. Else the next lower priority is heard. If none is left it goes on.

A map that was heard says its `on_action_executed` the next time. Asking again while nothing has changed, a restart or a
power cut included, is the same time: `pause` with `on_action_executed` `continue` waits until any map comes, goes or
expires.

## Lives

A map lives for `[server] map-expiration` seconds, and anew each time it is sent. `SetUpdateControlMap` returns the
seconds after which to send it again: half of that. What nobody refreshes expires, so that an application that died does
not hold a device for ever. Lives are measured by a clock that nobody can set, go on after a reboot with what was left,
and stand still while there is no power. The time between a boot and the start of the service takes at most half of
what is left; a power cut gives back at most a tenth of a life (or a minute). When no update is in progress, expired
maps are removed; a deployment's own maps end with it.

A `pause` of the server that says nothing about its expiry does not end because the server cannot be reached. The update
waits on (`stay`); or, some time after the map expired, it goes on (`continue`) or fails (`fail`). With `on_map_expire`
the server has said itself what its absence means, and that is done.

The server is asked for its map before each point, and while it holds an update at half of the map's life or every
`poll-interval`. When it cannot be asked it is tried again, more and more rarely, for as long as it takes.

## What replaces what

- A map of the server replaces all maps of its id, and the server's maps of other deployments. Without states it stays,
  so that the server is asked again.
- A map of an application replaces the application's map of the same id and priority. It cannot replace or take away the
  server's.
- A map of an application for one deployment only is not replaced by the server's.
- There are at most {LOCAL_MAPS} maps of applications.

## Differences to the Mender client

| | Mender client 3.x | here |
|---|---|---|
| the server cannot be reached in a pause | after some tries the update is rolled back | it stays paused, see above |
| restart or reboot in a pause | the update fails, or goes on as if the pause were over | it stays paused |
| asked twice about the same | `on_action_executed` is said | the same answer, until something changes |
| lives after a reboot | `map-boot-expiration` for all | what was left; `map-boot-expiration` for maps taken over |
| a server's map of another deployment | applies | does not |
| an application's map with the deployment's id | replaces the server's map | stands beside it |
| a server's map without an id | the deployment fails | it gets the deployment's id |
| same key twice, text after the map, `null` as a map | taken | error |
"""


def reference() -> str:
    """Return docs/reference/control-maps.md."""
    lines = [INTRODUCTION, *_table(Field), "", "In each state:", "", *_table(StateField), "", RULES]
    lines += ["| state | the update waits before it |", "|---|---|"]
    lines += [f"| `{key}` | {point.value}s |" for key, point in STATE_KEYS.items()]
    lines += ["", "| action | meaning | if it is not said: when expired | if it is not said: when executed |"]
    lines += ["|---|---|---|---|"]
    for action, meaning in ACTIONS.items():
        rule = Rule.of(action)
        lines.append(
            f"| `{action.value}` | {meaning} | `{rule.on_map_expire.value}` | `{rule.on_action_executed.value}` |"
        )
    return "\n".join([*lines, "", REST])


def _table(fields: type[Field] | type[StateField]) -> list[str]:
    rows = [(field.value, *MEANINGS[field]) for field in fields]
    return [
        "| field | value | default | meaning |",
        "|---|---|---|---|",
        *(f"| `{a}` | {b} | {c} | {d} |" for a, b, c, d in rows),
    ]
