"""How an update ends, or is in trouble: pure functions of its record."""

from collections.abc import Mapping
from typing import Any, Final

from bistable.artifact.errors import BistableError, SignatureError
from bistable.client.errors import LoopError, NotBootedError
from bistable.client.machine import Record, State, Trouble
from bistable.client.store import ABORTED, FAILURE, ROLLED_BACK, SUCCESS, Ended

WAY_BACK: Final = frozenset({State.ROLLBACK, State.ROLLBACK_REBOOT, State.VERIFY_ROLLBACK})


def hint_for(error: BistableError) -> str | None:
    """Return what to do about an error, for somebody at a device."""
    if isinstance(error, SignatureError):
        # What the library says is for people who build artifacts.
        return "sign it with a key whose public half is in trust.verify-keys"
    return error.hint


def unbooted_error(verb: str) -> NotBootedError:
    """Return the error for what cannot be done before a reboot."""
    return NotBootedError(f"cannot {verb}: the device has to be rebooted first", hint="reboot it, then say it again")


def in_circles(record: Record) -> Mapping[str, Any]:
    """Return what changes in the record of an update that goes in circles."""
    trouble = Trouble(
        code=LoopError.code,
        what="cannot finish the update: it went from state to state more often than any update can",
        state=record.state,
        hint="bistablectl history and the log say between which states",
    )
    undone = record.rolled_back and record.state not in WAY_BACK
    unclear = record.install_boot_id is not None and not record.committed and not undone
    return {
        "trouble": record.with_trouble(trouble).trouble,
        "inconsistent": record.inconsistent or unclear,
    }


def interruption(record: Record, state: State) -> Trouble:
    """Return why an update that was found in its record's state goes on in `state`, on the way back or to the end."""
    what = "cannot finish the update: "
    if state is State.CLEANUP:
        what += "its download was interrupted"
    elif record.state is State.INSTALL:
        what += "its installation was interrupted"
    else:
        what += "the boot loader went back to what ran before"
    return Trouble(code="interrupted", what=what, state=record.state)


def ended_by(record: Record, now: float) -> Ended:
    """Return what is remembered of an update that is over."""
    if not record.failed and record.committed:
        result = SUCCESS
    elif record.aborted:
        result = ABORTED
    elif record.undo and record.trouble is None:
        result = ROLLED_BACK
    else:
        result = FAILURE
    return Ended(
        id=record.id,
        artifact=None if record.offer is None else record.offer.name,
        result=result,
        error=None if record.trouble is None else record.trouble.what,
        where=record.where,
        began=record.began,
        ended=now,
    )
