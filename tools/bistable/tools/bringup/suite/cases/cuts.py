"""Power cuts at points that are the same in every run: a slot boots, the client says what is so, and updates go on."""

from collections.abc import Sequence
from typing import Final

from bistable.tools.bench import patience
from bistable.tools.bringup.suite.cases.case import Case, always
from bistable.tools.bringup.suite.errors import UnexpectedError
from bistable.tools.bringup.suite.result import EventKind
from bistable.tools.bringup.suite.subject import ANY, Subject

INSTALLED: Final = "after the installation, before the reboot"
IN_TRIAL: Final = "in the trial, before the commit"
COMMITTED: Final = "right after the commit"

_LATER: Final = (INSTALLED, IN_TRIAL, COMMITTED)
_LOG: Final = "/run/conformance-install"


def writing_points(cuts: int) -> Sequence[float]:
    """Return the shares of the artifact after which the power is cut, while the slot is written."""
    count = max(1, cuts - len(_LATER))
    return [(number + 0.5) / count for number in range(count)]


def later_points(cuts: int) -> Sequence[str]:
    """Return the points after the slot was written at which it is cut."""
    return _LATER[: max(0, cuts - 1)]


def power_cuts(subject: Subject) -> None:
    """Cut the power as often as is wished."""
    if not subject.slots().state[subject.other].good:
        # The hard case is that the slot which is overwritten was good.
        subject.update()
    already = _cuts_so_far(subject)
    for share in writing_points(subject.wishes.cuts):
        _cut_while_writing(subject, share)
    later = later_points(subject.wishes.cuts)
    if later:
        _cut_later(subject, later)
    subject.journal.remark(f"{_cuts_so_far(subject) - already} power cuts")
    subject.journal.step("see that an update still succeeds")
    subject.update()


def _cuts_so_far(subject: Subject) -> int:
    return sum(event.kind is EventKind.POWER_CUT for event in subject.journal.events)


def _cut_while_writing(subject: Subject, share: float) -> None:
    before, target = subject.running, subject.other
    name = subject.new_name()
    url = subject.offers.offer(name)
    subject.offers.stall(name, share)
    subject.content.pop(target, None)
    subject.journal.step(f"install {name} into slot {target}, and stop sending after {share:.0%} of it")
    subject.device.run(f"( bistablectl install {url} >{_LOG} 2>&1 & )")
    if not subject.offers.wait_until_stalled(patience.INSTALL):
        raise UnexpectedError(
            "what the device fetches",
            expected=f"{share:.0%} of {url}",
            seen=subject.device.run(f"cat {_LOG}", allowed=ANY).output or "nothing",
            hint="can the device reach this computer under that address?",
        )
    subject.expect(
        f"whether slot {target} may be booted while it is written",
        expected=False,
        seen=subject.slots().state[target].bootable,
    )
    slot = subject.cut_power(f"after {share:.0%} of the artifact")
    subject.offers.go_on()
    subject.expect_given_up(before, slot, name, why="after a power cut while the other one was written")


def _cut_later(subject: Subject, points: Sequence[str]) -> None:
    before, target = subject.running, subject.other
    name = subject.install_new()
    slot = subject.cut_power(INSTALLED)
    if not _goes_on(subject, slot, subject.flow.cut_starts_trial, before, name):
        return
    if IN_TRIAL in points:
        slot = subject.cut_power(IN_TRIAL)
        if not _goes_on(subject, slot, subject.flow.trial_survives_cut, before, name):
            return
    subject.commit()
    if COMMITTED in points:
        slot = subject.cut_power(COMMITTED)
        slots = subject.expect_running(target, slot, why="after a power cut right after the commit")
        subject.expect(f"what is known of slot {target}", expected="good", seen=slots.state[target].words)


def _goes_on(subject: Subject, slot: str, expected: bool | None, before: str, name: str) -> bool:
    """Return whether the trial goes on, after having looked that everybody says so."""
    target = "b" if before == "a" else "a"
    if expected is not None:
        subject.expect("the slot that runs after the power cut", expected=target if expected else before, seen=slot)
    if slot == before:
        subject.expect_given_up(before, slot, name, why="after a power cut that ended the trial")
        return False
    slots = subject.expect_running(target, slot, why="after a power cut in the trial")
    subject.expect(
        f"whether slot {target} is known to be good before the commit", expected=False, seen=slots.state[target].good
    )
    return True


POWER_CUTS: Final = Case(
    name="power-cuts",
    proves="After a power cut in any of these moments a slot boots, the client knows what is so, and updates go on.",
    run=power_cuts,
    why_not=always,
)
