"""Updates that are kept."""

from typing import Final

from bistable.tools.bringup.suite.cases.case import Case, always
from bistable.tools.bringup.suite.subject import ANY, Subject


def install_commit(subject: Subject) -> None:
    """Install, reboot, commit, and reboot once more."""
    note, folder, target = subject.new_name(), subject.data_folder(), subject.other
    subject.device.run(f"mkdir -p {folder} && echo {note} >{folder}/conformance-note && sync")
    name = subject.install_new()
    installed = subject.slots().state[target]
    subject.expect(f"slot {target} after the installation", expected=_on_trial(subject), seen=installed.words)
    slots = subject.expect_running(target, subject.reboot("into the new system"), why="after the update")
    subject.expect(
        f"whether slot {target} is known to be good before the commit", expected=False, seen=slots.state[target].good
    )
    subject.commit()
    subject.expect_running(target, subject.reboot("to see that it stays"), why="after the commit")
    subject.expect("the artifact that the device provides", expected=name, seen=subject.status().artifact)
    subject.expect(
        "what was written to the data partition before the update",
        expected=note,
        seen=subject.device.run(f"cat {folder}/conformance-note", allowed=ANY).output,
    )


def _on_trial(subject: Subject) -> str:
    return f"on trial, {subject.tries} tries left" if subject.flow.counts else "on trial"


def both_slots(subject: Subject) -> None:
    """Update into one slot, and from there into the other."""
    first = subject.running
    over, back = subject.update(), subject.update()
    subject.expect("the slot of the second update", expected=first, seen=back)
    subject.expect("the slot of the first update", expected=True, seen=over != back)
    for name, slot in sorted(subject.slots().state.items()):
        subject.expect(f"what is known of slot {name}", expected="good", seen=slot.words)


def many_updates(subject: Subject) -> None:
    """Update as often as is wished, each time into the other slot."""
    for _ in range(subject.wishes.updates):
        subject.update()
    subject.journal.remark(f"{subject.wishes.updates} updates in a row")


INSTALL_COMMIT: Final = Case(
    name="install-commit",
    proves="An update is installed into the slot that does not run, boots, stays when it is committed, and leaves the "
    "data partition alone.",
    run=install_commit,
    why_not=always,
)

BOTH_SLOTS: Final = Case(
    name="both-slots",
    proves="An update goes from either slot into the other, and both are known to be good afterwards.",
    run=both_slots,
    why_not=always,
)

MANY_UPDATES: Final = Case(
    name="many-updates",
    proves="Updates can be installed again and again, each into the other slot.",
    run=many_updates,
    why_not=always,
)
