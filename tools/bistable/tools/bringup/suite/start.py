"""Before each case: the device is brought to a known state."""

from typing import Final

from bistable.tools.bench.console import DEATHS
from bistable.tools.bench.errors import MisbehavedError
from bistable.tools.bringup.suite.errors import UnexpectedError
from bistable.tools.bringup.suite.status import Status
from bistable.tools.bringup.suite.subject import ANY, Subject

ROUNDS: Final = 4
"""An update is undone by a command, a reboot, and another command; one more, in case somebody else is at work."""


def bring_to_start(subject: Subject, *, cuts: int) -> None:
    """See that no update is in progress, and that the running slot is good.

    It may take up to so many power cuts; with none, the device has to be up and in order already.

    Raises:
        UnexpectedError, MisbehavedError: the device is not there, or cannot be brought to that state.
    """
    subject.offers.go_on()
    for left in reversed(range(cuts)):
        try:
            with subject.device.console.tolerating(*DEATHS):
                subject.cut_power("to begin from a known state")
            settle(subject)
            return
        except (MisbehavedError, UnexpectedError):
            if not left:
                raise
    settle(subject)


def settle(subject: Subject) -> None:
    """See that no update is in progress, and that the running slot is good, on a device that is up.

    Raises:
        UnexpectedError, MisbehavedError: that is not so, and cannot be brought about.
    """
    status = subject.status()
    for _ in range(ROUNDS):
        slots = subject.slots_in(status)
        if status.update is None and slots.state[slots.running].good:
            return
        subject.ctl("recover", allowed=ANY)
        status = subject.status()
        if status.update is not None:
            _undo(subject, status)
            status = subject.status()
    slots = subject.slots_in(status)
    subject.expect("the update in progress", expected=None, seen=status.update)
    subject.expect(
        f"what is known of the running slot {slots.running}", expected="good", seen=slots.state[slots.running].words
    )


def _undo(subject: Subject, status: Status) -> None:
    subject.journal.step(f"undo the update in progress, which is in the state {status.update}")
    done = subject.ctl("abort", "--reason", "conformance suite", allowed=ANY)
    if done.get("reboot_required") or subject.status().update is not None:
        subject.reboot("to undo it")
