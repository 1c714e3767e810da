"""What `bistablectl --json` says, as values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """What the boot loader's memory says of a slot; `tries_left` is None where nothing is counted."""

    device: str
    bootable: bool
    good: bool
    tries_left: int | None

    @property
    def words(self) -> str:
        """Return it for people."""
        if self.good:
            return "good"
        if not self.bootable:
            return "not bootable"
        return "on trial" if self.tries_left is None else f"on trial, {self.tries_left} tries left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The slot that runs, the one that the next boot tries first, and what is known of each."""

    running: str
    next: str
    state: Mapping[str, SlotStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a device is. `slots` is None if the client cannot read the boot loader's memory."""

    artifact: str | None
    device_type: str | None
    slots: Slots | None
    update: str | None
    """State of the update in progress; None: there is none."""
    at_work: bool
    last_artifact: str | None
    last_result: str | None


def client_error(output: str) -> tuple[str, str | None]:
    """Return what a command says went wrong, and its hint; `output` is its document, and what comes behind that.

    A command that fails says so in its document; one that cannot even begin may have no document at all.
    """
    try:
        document, end = json.JSONDecoder().raw_decode(output)
    except ValueError:
        return output.strip(), None
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return output[end:].strip(), None
    return str(error.get("what") or output[end:].strip()), error.get("hint")


def parse_status(document: Mapping[str, Any]) -> Status:
    """Return what the document says."""
    update, last = document.get("update"), document.get("last")
    return Status(
        artifact=document.get("artifact"),
        device_type=document.get("device_type"),
        slots=_slots(document.get("slots")),
        update=None if update is None else str(update["state"]),
        at_work=update is not None and bool(update["at_work"]),
        last_artifact=None if last is None else last["artifact"],
        last_result=None if last is None else last["result"],
    )


def _slots(found: Mapping[str, Any] | None) -> Slots | None:
    if found is None:
        return None
    state = {
        name: SlotStatus(
            device=slot["device"], bootable=slot["bootable"], good=slot["good"], tries_left=slot["tries_left"]
        )
        for name, slot in found["state"].items()
    }
    return Slots(running=found["running"], next=found["next"], state=state)
