"""The view of the client as D-Bus properties, and which of them changed."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from dbus_fast import Variant

from bistable.client.bus.contract import interface
from bistable.client.bus.names import INTERFACE
from bistable.client.bus.ports import HolderView, ProgressView, SlotView, View

LONGEST_TEXT: Final = 4096
"""Characters of any text that is shown. Everybody gets each change, and the words of programs may be long."""

PROGRESS: Final = "Progress"
VERSION: Final = "Version"

_U32: Final = 2**32 - 1
_U64: Final = 2**64 - 1


def text(words: str) -> str:
    """Return words as the bus takes them: valid Unicode without NUL, and not too long."""
    if "\0" in words:
        words = words.replace("\0", "\\0")
    return words[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def moment(seconds: float | None) -> int:
    """Return a time in whole seconds, never too early; 0 for none."""
    return 0 if seconds is None or not math.isfinite(seconds) else _natural(math.ceil(seconds), _U64)


def _natural(number: int, most: int) -> int:
    return max(0, min(number, most))


def _holder(holder: HolderView) -> dict[str, Variant]:
    found = {
        "who": Variant("s", text(holder.who)),
        "why": Variant("s", text(holder.why)),
        "points": Variant("as", [point.value for point in holder.points]),
        "mode": Variant("s", text(holder.mode)),
    }
    if holder.until is not None:
        found["until"] = Variant("t", moment(holder.until))
    return found


def _progress(progress: ProgressView | None) -> dict[str, Variant]:
    if progress is None:
        return {}
    done = _natural(progress.done, _U64)
    found = {"bytes": Variant("t", done)}
    if progress.total is not None:
        total = _natural(progress.total, _U64)
        found["total"] = Variant("t", total)
        found["percent"] = Variant("u", min(100, 100 * done // total) if total else 100)
    if progress.rate is not None:
        found["rate"] = Variant("d", float(progress.rate))
    if progress.left is not None:
        found["left"] = Variant("d", float(progress.left))
    return found


def _slot(slot: SlotView) -> dict[str, Variant]:
    found = {
        "name": Variant("s", text(slot.name)),
        "device": Variant("s", text(slot.device)),
        "running": Variant("b", slot.running),
        "bootable": Variant("b", slot.bootable),
        "good": Variant("b", slot.good),
    }
    if slot.tries_left is not None:
        found["tries_left"] = Variant("u", _natural(slot.tries_left, _U32))
    return found


GETTERS: Final[Mapping[str, Callable[[View], Any]]] = {
    "State": lambda view: text(view.state),
    "Substate": lambda view: text(view.substate),
    "UpdateId": lambda view: text(view.update_id),
    "Artifact": lambda view: text(view.artifact),
    "CurrentArtifact": lambda view: text(view.current_artifact),
    "HeldAt": lambda view: text(view.held_at),
    "HeldBy": lambda view: [text(one) for one in view.held_by],
    "Actions": lambda view: [text(one) for one in view.actions],
    "Holders": lambda view: [_holder(one) for one in view.holders],
    PROGRESS: lambda view: _progress(view.progress),
    "RebootRequired": lambda view: view.reboot_required,
    "Slots": lambda view: [_slot(one) for one in view.slots],
    "LastResult": lambda view: text(view.last_result),
    "LastErrorCode": lambda view: text(view.last_error_code),
    "LastError": lambda view: text(view.last_error),
    "NextCheck": lambda view: moment(view.next_check),
}
"""Property -> its value, of the type that the interface's file has for it; Version does not change and is not here."""


def as_variants(values: Mapping[str, Any]) -> dict[str, Variant]:
    """Return values of properties with their types."""
    types = interface(INTERFACE).properties
    return {name: Variant(types[name], value) for name, value in values.items()}


class Shown:
    """What was last told of a view: `changes` says what has to be told now."""

    def __init__(self, view: View) -> None:
        self._values = {name: get(view) for name, get in GETTERS.items()}

    def changes(self, view: View, *, progress: bool) -> dict[str, Any]:
        """Return the properties that differ from what was told, and take them as told; `progress` as well, or not."""
        found = {
            name: value
            for name, get in GETTERS.items()
            if (progress or name != PROGRESS) and (value := get(view)) != self._values[name]
        }
        self._values.update(found)
        return found


class Throttle:
    """Lets something pass at once, and then once in `interval` seconds."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = -math.inf

    def wait(self, now: float) -> float:
        """Return how long it has to wait; 0: it passes, which is remembered."""
        if now >= self._next:
            self._next = now + self._interval
            return 0.0
        return self._next - now

    def took(self, now: float) -> None:
        """Remember that something passed now."""
        self._next = now + self._interval
