"""What came of leading an update, for people, for programs, and as an exit code."""

import argparse
from typing import TYPE_CHECKING, Final

from bistable.client.ctl import render
from bistable.client.errors import ClientError
from bistable.client.machine import PAUSES, Mark, Record, State
from bistable.client.model import Mode, RebootNeed
from bistable.client.store import ROLLED_BACK, SUCCESS

if TYPE_CHECKING:
    from bistable.client.ctl.session import Led
    from bistable.client.deployment.engine import Stand

REBOOT_REQUIRED: Final = 4


def advice(record: Record) -> str:
    """Return where an update is and what can be done next, in words for people."""
    name = "the update" if record.offer is None else record.offer.name
    state = record.state
    if state is State.REBOOT and record.mark is Mark.STARTED:
        return f"{name} is installed. Reboot the device; then 'bistablectl commit' keeps it, 'rollback' undoes it."
    if state is State.ROLLBACK_REBOOT and record.mark is Mark.STARTED:
        return f"{name} is undone. Reboot the device, then say 'bistablectl resume'."
    if state in PAUSES and record.mode is Mode.MANAGED:
        point = PAUSES[state].value
        return f"{name} is held before {point}. 'bistablectl continue' says that it may go on, 'abort' stops it."
    if state is State.PAUSED_COMMIT:
        return f"{name} is installed and runs on trial. 'bistablectl commit' keeps it, 'rollback' undoes it."
    if state in PAUSES:
        return f"{name} is held before {PAUSES[state].value}. 'bistablectl resume' lets it go on, 'abort' stops it."
    if state in record.stops:
        return f"{name} is held before {state.value}. 'bistablectl resume' lets it go on."
    return f"{name} was interrupted in the state {state.value}. 'bistablectl resume' goes on with it."


def show_stand(stand: "Stand", led: "Led", options: argparse.Namespace) -> int:
    """Show where things stand after a command and return its exit code."""
    reboot = _reboot_wanted(stand, led)
    if options.json:
        render.show_json("update/1", _document(stand, reboot=reboot))
    else:
        _tell(stand, reboot=reboot)
    failed = _failed(stand)
    if failed:
        return ClientError.exit_code
    return REBOOT_REQUIRED if reboot and getattr(options, "reboot_exit_code", False) else 0


def _failed(stand: "Stand") -> bool:
    if stand.ended is not None:
        return stand.ended.result not in {SUCCESS, ROLLED_BACK}
    return stand.trouble is not None


def _reboot_wanted(stand: "Stand", led: "Led") -> bool:
    record = stand.last
    if record is None or record.reboot_need in {None, RebootNeed.NONE} or record.rolled_back:
        return stand.record is not None and stand.record.state is State.ROLLBACK_REBOOT
    if stand.ended is not None and stand.ended.result != SUCCESS:
        return False
    return record.install_boot_id == led.device.system.boot_id()


def _document(stand: "Stand", *, reboot: bool) -> dict[str, object]:
    record, ended, trouble = stand.last, stand.ended, stand.trouble
    return {
        "id": None if record is None else record.id,
        "artifact": None if record is None or record.offer is None else record.offer.name,
        "state": State.IDLE.value if stand.record is None else stand.record.state.value,
        "result": None if ended is None else ended.result,
        "reboot_required": reboot,
        "next": None if stand.record is None else advice(stand.record),
        "error": None
        if trouble is None
        else {"code": trouble.code, "what": trouble.what, "state": trouble.state.value, "hint": trouble.hint},
    }


def _tell(stand: "Stand", *, reboot: bool) -> None:
    ended = stand.ended
    if stand.trouble is not None:
        render.show_error(stand.trouble.what, stand.trouble.hint)
    if ended is None:
        render.show_text("nothing to do" if stand.record is None else advice(stand.record))
        return
    name = ended.artifact or "the update"
    words = {SUCCESS: "is installed and permanent", ROLLED_BACK: "is undone"}
    render.show_text(f"{name} {words.get(ended.result, 'is not installed: it ' + _how(ended.result))}.")
    if reboot:
        render.show_text("Reboot the device to use it.")


def _how(result: str) -> str:
    return "was aborted" if result == "aborted" else "failed"
