"""Whether what the client would say after a boot is true: pure, told from its memory and from the slot that runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bistable.client.machine import State
from bistable.client.machine.states import ON_TRIAL
from bistable.qemu.clientview import ClientView

BEFORE_REBOOT: Final = frozenset(
    {
        State.GATE_DOWNLOAD,
        State.PAUSED_DOWNLOAD,
        State.DOWNLOAD,
        State.GATE_INSTALL,
        State.PAUSED_INSTALL,
        State.INSTALL,
        State.GATE_REBOOT,
        State.PAUSED_REBOOT,
    }
)
"""States in which nothing but what ran before may run."""

OVER: Final = frozenset({State.AFTER_COMMIT, State.CLEANUP, State.REPORT})
"""States in which it is decided which slot stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The slot that runs, the name of the artifact that really is in it, and what the boot loader thinks of it."""

    slot: str
    artifact: str
    good: bool


def lies(view: ClientView, running: Running) -> Iterator[str]:
    """Yield what is not true in what the client would say."""
    if view.record is None:
        if view.artifact not in {None, running.artifact}:
            yield f"it says that {view.artifact} runs and no update is in progress, but {running.artifact} runs"
        if not running.good:
            yield f"no update is in progress, but slot {running.slot} runs on trial"
        return
    state, record = view.continues_in(running.slot), view.record
    said = f"its update goes on in {state.value if state else None}, but slot {running.slot} runs"
    if record.committed or state is State.AFTER_COMMIT:
        if running.slot != record.target:
            yield f"{said}, which is not what was committed"
        elif not running.good:
            yield f"{said} on trial, which was committed"
        return
    if state in ON_TRIAL and state is not State.VERIFY and running.slot != record.target:
        yield f"{said}, which is not on trial"
    if (record.state in BEFORE_REBOOT or state in OVER) and record.origin is not None and running.slot != record.origin:
        yield f"{said}, into which it did not reboot yet"
