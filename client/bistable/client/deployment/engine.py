"""Leads an update from state to state: act, make the next state durable, go on, until somebody else has to act.

Every public call finds the update as the store has it, whatever happened to the process that was at it before.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bistable.artifact.errors import BistableError
from bistable.client.deployment import actions, undo
from bistable.client.deployment.endings import WAY_BACK, ended_by, hint_for, in_circles, interruption, unbooted_error
from bistable.client.deployment.ports import Hold, Open, Refuse
from bistable.client.deployment.suit import provides_after, provides_inconsistent
from bistable.client.deployment.work import Parts, Work, tolerating
from bistable.client.errors import (
    AbortedError,
    BusyError,
    ClientError,
    NothingToDoError,
    StoreError,
    UsageError,
)
from bistable.client.machine import (
    LOOP_LIMIT,
    ON_TRIAL,
    PAUSES,
    TABLE,
    UNCOUNTED,
    Event,
    Mark,
    Record,
    State,
    Trouble,
    decode_record,
    encode_record,
    recover,
    step,
)
from bistable.client.model import Mode, Point, RebootNeed
from bistable.client.store import Ended

log = logging.getLogger(__name__)

Action = Callable[[Work], Event | None]

ACTIONS: Final[Mapping[State, Action]] = {
    State.GATE_DOWNLOAD: actions.gate,
    State.DOWNLOAD: actions.download,
    State.GATE_INSTALL: actions.gate,
    State.INSTALL: actions.install,
    State.GATE_REBOOT: actions.gate,
    State.REBOOT: actions.reboot,
    State.VERIFY: actions.verify,
    State.CHECK: actions.check,
    State.GATE_COMMIT: actions.gate,
    State.COMMIT: actions.commit,
    State.AFTER_COMMIT: actions.after_commit,
    State.ROLLBACK: undo.rollback,
    State.ROLLBACK_REBOOT: undo.rollback_reboot,
    State.VERIFY_ROLLBACK: undo.verify_rollback,
    State.FAILURE: undo.failure,
    State.CLEANUP: undo.cleanup,
    State.REPORT: undo.report,
}
"""State -> what is done in it. Pauses are missing: nothing is done in them."""

WATCHED: Final = frozenset({State.VERIFY, State.CHECK, State.COMMIT})
"""States in which a hang must end in a reboot, and so in the old system."""

ENDING: Final = frozenset({State.FAILURE, State.CLEANUP, State.REPORT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where things stand after a call: the update in progress, if it still is, or how it ended."""

    record: Record | None
    last: Record | None = None
    """The record as it was last, even if the update is over."""
    ended: Ended | None = None
    trouble: Trouble | None = None


class Engine:
    """Leads one update at a time. The caller sees to it that no other process does the same (see `exclusive`)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # --- what can be asked for

    def current(self) -> Record | None:
        """Return the update in progress as the store has it.

        Raises:
            StoreError: the store cannot be read.
        """
        text = self._parts.store.record()
        return None if text is None else decode_record(text)

    def begin(
        self, where: str, *, name: str, mode: Mode, stops: frozenset[State] = frozenset(), offered: bool = False
    ) -> Stand:
        """Begin the update `name` with the artifact at `where` and lead it as far as it goes.

        `offered`: it is the server's deployment of this name.

        Raises:
            BusyError: there is one in progress.
            StoreError: the store cannot be written; nothing was done.
        """
        if (record := self.current()) is not None:
            raise BusyError(
                f"cannot install: another update is in progress, in the state {record.state.value}",
                hint="bistablectl status says what can be done with it",
            )
        system = self._parts.system
        record = Record(
            id=name,
            mode=mode,
            state=step(State.IDLE, Event.STARTED),
            where=where,
            boot_id=system.boot_id(),
            stops=stops,
            offered=offered,
            began=system.wall(),
        )
        work = Work(self._parts, record)
        work.keep()
        self._parts.on_record(record)
        return self._lead(work)

    def recover(self) -> Stand:
        """Go on with the update that the store knows, wherever it was interrupted; pauses stay pauses.

        Raises:
            StoreError: the store cannot be read or written.
        """
        work = self._found()
        return Stand(record=None) if work is None else self._lead(work)

    def resume(self) -> Stand:
        """Let a paused or stopped update go on.

        Raises:
            NothingToDoError: there is none.
            NotBootedError: it waits for a reboot that did not happen.
        """
        work = self._needed("resume")
        self._refuse_unbooted(work, "go on")
        self._release(work)
        return self._lead(work)

    def force(self) -> Stand:
        """Let a paused or stopped update go on, whoever holds it there.

        Raises:
            NothingToDoError: there is none.
            NotBootedError: it waits for a reboot that did not happen.
        """
        work = self._needed("go on")
        self._refuse_unbooted(work, "go on")
        if (point := PAUSES.get(work.record.state)) is not None:
            work.keep(forced=work.record.forced | {point})
        self._release(work)
        return self._lead(work)

    def reconsider(self) -> Stand:
        """Ask again whether a paused update may go on; for when something changed about who holds it.

        As long as it is held it stays in its pause, and nothing is stored or told. What is not paused goes on as with
        `recover`.

        Raises:
            StoreError: the store cannot be read or written.
            ClientError: nobody can tell whether it is held; it stays in its pause.
        """
        work = self._found()
        if work is None:
            return Stand(record=None)
        if (point := PAUSES.get(work.record.state)) is None:
            return self._lead(work)
        match self._parts.gates.decide(point, work.record):
            case Hold():
                return Stand(record=work.record, last=work.record, trouble=work.record.trouble)
            case Open():
                self._move(work, Event.CONTINUED)
            case Refuse(reason=reason):
                event, changes = self._failed(work, AbortedError(f"cannot go on: {reason}"))
                self._move(work, event, **changes)
        return self._lead(work)

    def commit(self) -> Stand:
        """Make an update that is on trial permanent.

        Raises:
            NothingToDoError: there is none.
            NotBootedError: what was installed was not booted.
            UsageError: it is not that far, or further.
        """
        work = self._needed("commit")
        self._refuse_unbooted(work, "commit")
        if work.record.state in WAY_BACK:
            # Too late for that. It is finished here, so that whoever commits after each boot is told how it ended.
            return self._lead(work)
        if work.record.state not in {*ON_TRIAL, State.REBOOT}:
            raise UsageError(f"cannot commit: the update is in the state {work.record.state.value}")
        automatic = work.record.reboot_need is RebootNeed.AUTOMATIC
        if work.record.state is State.REBOOT and automatic and not actions.rebooted_already(work):
            raise unbooted_error("commit")
        # What was asked for on the command line is not held at the command line's own gate.
        work.keep(passes=work.record.passes | {Point.COMMIT}, stops=work.record.stops - {State.PAUSED_COMMIT})
        self._release(work)
        return self._lead(work)

    def rollback(self) -> Stand:
        """Undo an update that is not permanent yet.

        Raises:
            NothingToDoError: there is none.
            UsageError: it is permanent, or cannot be undone.
        """
        work = self._needed("roll back")
        return self._turn_back(work, "roll back", undo=True)

    def abort(self, reason: str) -> Stand:
        """Stop an update: before anything was installed that is all, later it is rolled back.

        Raises:
            NothingToDoError: there is none.
            UsageError: it is permanent.
        """
        work = self._needed("abort")
        return self._turn_back(work, "abort", undo=False, reason=reason)

    # --- how it is led

    def _lead(self, work: Work) -> Stand:
        ended: Ended | None = None
        while not self._rests(work):
            event, changes = self._act(work)
            if event is None:
                break
            ended = self._move(work, event, **changes)
            if ended is not None:
                return Stand(record=None, last=work.record, ended=ended, trouble=work.record.trouble)
        return Stand(record=work.record, last=work.record, trouble=work.record.trouble)

    def _rests(self, work: Work) -> bool:
        state = work.record.state
        if state is State.PAUSED_COMMIT:
            # However long the pause is, a power cut in it must not cost the update.
            with tolerating("giving the new system its tries again"):
                if (payload := work.payload()) is not None:
                    payload.rearm()
        return state in PAUSES or state in work.record.stops

    def _act(self, work: Work) -> tuple[Event | None, Mapping[str, Any]]:
        """Do what is done in this state; return what came of it, and what it changes in the record."""
        state = work.record.state
        watched = state in WATCHED
        try:
            if watched:
                self._parts.watchdog.arm()
            return ACTIONS[state](work), {}
        except StoreError:
            raise
        except BistableError as e:
            return self._failed(work, e)
        finally:
            if watched:
                self._parts.watchdog.disarm()

    def _failed(self, work: Work, error: BistableError) -> tuple[Event, Mapping[str, Any]]:
        state = work.record.state
        code = error.code if isinstance(error, ClientError) else "artifact"
        aborted = isinstance(error, AbortedError) and (state, Event.ABORTED) in TABLE
        event = Event.ABORTED if aborted else Event.FAILED
        if aborted and state is State.INSTALL and work.record.install_boot_id is None:
            self._step_back(work)
        if (state, event) not in TABLE:
            log.info("%s: %s", state.value, error.what)
            return Event.DONE, {}
        trouble = Trouble(code=code, what=error.what, state=state, hint=hint_for(error))
        # Kept with the next state and not before: without it, a power cut between the two would leave an update that
        # goes on, and may end well, with an error that it does not have.
        told = work.record.with_trouble(trouble).trouble
        return event, {"trouble": told, "aborted": work.record.aborted or aborted}

    def _move(self, work: Work, event: Event, **changes: Any) -> Ended | None:
        """Make the next state durable, together with `changes` and what it means for the rest of the store."""
        state = work.record.state
        following = step(state, event)
        # A pause that ends is no step of the update, wherever it leads.
        count = work.record.transitions + (following not in UNCOUNTED and event is not Event.CONTINUED)
        if count > LOOP_LIMIT and event is not Event.LOOPED and (state, Event.LOOPED) in TABLE:
            return self._end_circle(work, changes)
        changed = replace(
            work.record,
            **changes,
            state=following,
            mark=Mark.FRESH,
            boot_id=self._parts.system.boot_id(),
            transitions=count,
            committed=work.record.committed or event is Event.EMPTY or (state is State.COMMIT and event is Event.DONE),
        )
        if state is State.AFTER_COMMIT and event is Event.FAILED:
            changed = replace(changed, inconsistent=True)
        ended = ended_by(changed, self._parts.system.wall()) if following is State.IDLE else None
        with self._parts.store.transaction():
            self._change_provides(work.record, changed)
            if ended is None:
                self._parts.store.save_record(encode_record(changed))
            else:
                self._parts.store.add_history(ended)
                self._parts.store.remove_record()
        work.record = changed
        self._parts.on_record(changed)
        return ended

    def _end_circle(self, work: Work, changes: Mapping[str, Any]) -> Ended | None:
        """End an update that goes in circles. Nothing of it is called again, but no boot loader keeps trying it."""
        record = replace(work.record, **changes)
        if record.target is not None and not record.committed:
            with tolerating("having the boot loader leave the new slot"):
                if (payload := work.payload()) is not None:
                    payload.rollback()
        return self._move(work, Event.LOOPED, **{**changes, **in_circles(record)})

    def _change_provides(self, before: Record, after: Record) -> None:
        store, offer = self._parts.store, after.offer
        if offer is None:
            return
        if after.committed and not before.committed:
            store.replace_provides(provides_after(store.provides(), offer))
        if after.inconsistent and after.state in {State.CLEANUP, State.REPORT}:
            store.replace_provides(provides_inconsistent(store.provides(), offer))

    # --- finding it again

    def _needed(self, verb: str) -> Work:
        work = self._found()
        if work is None:
            raise NothingToDoError(f"cannot {verb}: there is no update in progress")
        return work

    def _found(self) -> Work | None:
        record = self.current()
        if record is None:
            return None
        work = Work(self._parts, record)
        state = recover(record, work.facts())
        # Looking again at what waits for somebody is no step of the update.
        waits = state is record.state and (state in record.stops or self._waits_for_reboot(record))
        if state in UNCOUNTED or waits:
            return work
        if record.transitions >= LOOP_LIMIT:
            # Whatever ends the process in this state must not do so for ever.
            self._end_circle(work, {})
        elif state is record.state:
            work.keep(transitions=record.transitions + 1)
        else:
            trouble = record.trouble
            if state in {State.ROLLBACK, State.CLEANUP}:
                trouble = record.with_trouble(interruption(record, state)).trouble
            work.keep(state=state, mark=Mark.FRESH, trouble=trouble, transitions=record.transitions + 1)
            self._parts.on_record(work.record)
        return work

    def _waits_for_reboot(self, record: Record) -> bool:
        """Whether it is a person's turn: what is found with this in another boot has another state."""
        waits = record.state in {State.REBOOT, State.ROLLBACK_REBOOT} and record.mark is Mark.STARTED
        return waits and record.mode is Mode.STANDALONE

    def _refuse_unbooted(self, work: Work, verb: str) -> None:
        if self._waits_for_reboot(work.record):
            raise unbooted_error(verb)

    def _release(self, work: Work) -> None:
        """Open the gate at which the update waits, or lift the stop."""
        state = work.record.state
        if state in PAUSES:
            work.keep(passes=work.record.passes | {PAUSES[state]}, stops=work.record.stops - {state})
            self._move(work, Event.CONTINUED)
        elif state in work.record.stops:
            work.keep(stops=work.record.stops - {state})

    def _step_back(self, work: Work) -> None:
        """Have an installation that was not begun be none, so that nothing is undone when it is stopped."""
        work.keep(state=State.GATE_INSTALL, mark=Mark.FRESH)

    def _turn_back(self, work: Work, verb: str, *, undo: bool, reason: str | None = None) -> Stand:
        record, state = work.record, work.record.state
        if state in WAY_BACK or (state in ENDING and not record.committed):
            # It is on its way already; whoever says it again means that it shall go on.
            self._release(work)
            return self._lead(work)
        permanent = state is State.COMMIT and record.mark is Mark.STARTED
        if permanent or (state, Event.ABORTED) not in TABLE:
            raise UsageError(
                f"cannot {verb}: the update is permanent, or about to be (it is in the state {state.value})",
                hint="bistablectl resume finishes it",
            )
        nothing_done = state is State.INSTALL and record.install_boot_id is None
        if nothing_done:
            self._step_back(work)
        elif TABLE[state, Event.ABORTED] is State.ROLLBACK and record.supports_rollback is False:
            raise UsageError(f"cannot {verb}: what was installed cannot be undone", hint="bistablectl commit keeps it")
        trouble = record.trouble
        if reason is not None:
            told = Trouble(code=AbortedError.code, what=f"cannot go on: {reason}", state=state)
            trouble = record.with_trouble(told).trouble
        self._move(work, Event.ABORTED, undo=record.undo or undo, aborted=record.aborted or not undo, trouble=trouble)
        return self._lead(work)
