"""bistablectl status."""

import argparse
from typing import Any

from bistable.artifact.errors import BistableError
from bistable.client.ctl import render
from bistable.client.ctl.outcome import advice
from bistable.client.ctl.session import device_of, looking
from bistable.client.deployment.device import Device, line_of
from bistable.client.deployment.locks import is_led
from bistable.client.deployment.suit import NAME
from bistable.client.errors import ClientError
from bistable.client.machine import Facts, Record, State, decode_record, recover

DESCRIPTION = """Show what this device runs, where an update is, and what can be done with it. Changes nothing."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""


def run(options: argparse.Namespace) -> int:
    """Show it."""
    device = device_of(options)
    with looking(device) as store:
        text = None if store is None else store.record()
        name = None if store is None else store.provides().get(NAME)
        history = [] if store is None else store.history()
    record = None if text is None else decode_record(text)
    name = name or line_of(device.settings.device.artifact_info_file, NAME)
    slots, slots_error = _slots(device)
    result: dict[str, Any] = {
        "artifact": name,
        "device_type": device.device_type(),
        "slots": slots,
        "update": None if record is None else _update(record, device),
        "last": None
        if not history
        else {"artifact": history[0].artifact, "result": history[0].result, "error": history[0].error},
    }
    if options.json:
        render.show_json("status/1", result)
    else:
        _show(result, slots_error)
    return 0


def _slots(device: Device) -> tuple[dict[str, Any] | None, str | None]:
    """Return what is known of the slots, and why that is not all."""
    try:
        if device.pair is None:
            return None, None
        running = device.running()
        found: dict[str, Any] = {"running": running, "next": None, "state": {}}
        found["next"] = device.bootloader.primary()
        for slot in (device.pair.a, device.pair.b):
            status = device.bootloader.status(slot.name)
            found["state"][slot.name] = {
                "device": str(slot.device),
                "bootable": status.bootable,
                "good": status.good,
                "tries_left": status.tries_left,
            }
    except ClientError as e:
        return None, e.what
    return found, None


def _update(record: Record, device: Device) -> dict[str, Any]:
    try:
        on_target = None if record.target is None else device.running() == record.target
        state = recover(record, Facts(boot_id=device.system.boot_id(), on_target=on_target))
    except BistableError:
        on_target, state = None, record.state
    busy = is_led(device.settings.device.data_dir)
    return {
        "id": record.id,
        "artifact": None if record.offer is None else record.offer.name,
        "state": record.state.value,
        "continues_in": state.value,
        "where": record.where,
        "error": None if record.trouble is None else record.trouble.what,
        "at_work": busy,
        "next": _next(record, state, on_target, busy=busy),
    }


def _next(record: Record, state: State, on_target: bool | None, *, busy: bool) -> str:
    if busy:
        return "It is at work."
    return advice(record) if state is record.state else _changed(state, on_target)


def _changed(state: State, on_target: bool | None) -> str:
    if on_target is False and state in {State.VERIFY, State.ROLLBACK}:
        return "The boot loader went back to what ran before. 'bistablectl recover' finishes the rollback."
    if state is State.VERIFY:
        return "It was rebooted. 'bistablectl commit' keeps it if it is sound, 'rollback' undoes it."
    if state is State.VERIFY_ROLLBACK:
        return "It was rebooted. 'bistablectl resume' finishes the rollback."
    return f"It was interrupted. 'bistablectl resume' goes on ({state.value})."


def _show(result: dict[str, Any], slots_error: str | None) -> None:
    slots, update, last = result["slots"], result["update"], result["last"]
    fields: list[tuple[str, str | None]] = [
        ("artifact", result["artifact"] or "unknown"),
        ("device type", result["device_type"] or "unknown"),
    ]
    if slots is not None:
        fields.append(("running slot", slots["running"]))
        fields.append(("next boot", slots["next"] if slots["next"] != slots["running"] else None))
        fields += [(f"slot {name}", _slot(slot)) for name, slot in slots["state"].items()]
    elif slots_error is not None:
        fields.append(("slots", f"unknown: {slots_error}"))
    if update is not None:
        fields.append(("update", f"{update['artifact'] or update['where']}, {update['state']}"))
        fields.append(("error", update["error"]))
        fields.append(("next", update["next"]))
    else:
        fields.append(("update", "none in progress"))
        if last is not None:
            fields.append(("last update", f"{last['artifact'] or '?'}: {last['result']}"))
            fields.append(("error", last["error"]))
    render.show_fields(fields)


def _slot(slot: dict[str, Any]) -> str:
    words = "good" if slot["good"] else "on trial" if slot["bootable"] else "not bootable"
    counted = slot["bootable"] and not slot["good"] and slot["tries_left"] is not None
    return f"{slot['device']} ({words}{', tries left: ' + str(slot['tries_left']) if counted else ''})"
