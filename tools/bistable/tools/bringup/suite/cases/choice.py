"""Both sides of the boot loader's memory: user space writes and the boot loader reads, and the other way round."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Final

from bistable.tools.bringup.suite.cases.case import Case
from bistable.tools.bringup.suite.cases.first import expect_no_fault
from bistable.tools.bringup.suite.cases.trial import needs_quiet_trial, quiet_trial
from bistable.tools.bringup.suite.errors import UnexpectedError
from bistable.tools.bringup.suite.flows import Canary
from bistable.tools.bringup.suite.subject import ANY, Subject

_SUMMARY: Final = re.compile(r"bistable: copies=(\S+) current=(\S+) order=(.*?) a=(\S+) b=(\S+)")

_COPY: Final = re.compile(r"(?P<name>[^@]+)@?(?P<offset>0x[0-9a-f]+|[0-9]*)", re.IGNORECASE)
_LINKS: Final = {"PARTUUID=": "/dev/disk/by-partuuid/", "PARTLABEL=": "/dev/disk/by-partlabel/"}
_SECTOR: Final = 512

_TAKE_FROM_BLOCK: Final = (
    "dd if={device} bs=512 skip={sector} count=1 2>/dev/null | sed s/^bistable_seen=1/bistable_seen=0/ | head -c 512 "
    ">/run/conformance-block && dd if=/run/conformance-block of={device} bs=512 seek={sector} conv=notrunc 2>/dev/null "
    "&& sync"
)
"""All that counts is in the first sector of a block; the value changes, its length does not."""


def environment_round_trip(subject: Subject) -> None:
    """Follow an update and its undoing through the memory of the boot loader, from both sides."""
    before, target = subject.running, subject.other
    name = subject.install_new(*quiet_trial(subject))
    written = subject.slots()
    subject.expect("what user space has written: the slot to boot next", expected=target, seen=written.next)

    slot = subject.reboot(f"to see whether the boot loader reads that slot {target} is next")
    subject.expect("the slot that the boot loader chose", expected=target, seen=slot)
    _expect_summary(subject, target, "" if subject.tries is None else str(subject.tries))
    if subject.flow.counts:
        subject.journal.step("see whether user space reads that the boot loader has taken one try")
        subject.expect(
            "the tries that are left, as user space reads them",
            expected=(subject.tries or 0) - 1,
            seen=subject.slots().state[target].tries_left,
        )

    subject.journal.step("undo the update")
    subject.ctl("rollback")
    subject.expect("what user space has written: the slot to boot next", expected=before, seen=subject.slots().next)
    slot = subject.reboot(f"to see whether the boot loader reads that slot {target} is not to be booted")
    subject.expect_running(before, slot, why="after the update was undone")
    _expect_summary(subject, target, "no")
    subject.ctl("recover", allowed=ANY)
    status = subject.status()
    subject.expect(
        "the update that was undone",
        expected=f"{name} rolled-back, none in progress",
        seen=f"{status.last_artifact} {status.last_result}, {status.update or 'none'} in progress",
    )
    subject.content.pop(target, None)


def _expect_summary(subject: Subject, slot: str, state: str) -> None:
    """Compare what the boot script said of a slot, where it says something."""
    if not subject.flow.summary:
        return
    found = parse_summary(subject.device.says("bistable: copies="))
    subject.expect(f"what the boot script read of slot {slot}, as it said", expected=state, seen=found[slot])


def parse_summary(lines: list[str]) -> Mapping[str, str]:
    """Return slot -> what the boot script found last: `good`, its tries, or `no`.

    Raises:
        UnexpectedError: it said nothing of that kind.
    """
    match = _SUMMARY.search(lines[-1]) if lines else None
    if match is None:
        raise UnexpectedError(
            "what the boot script says when it has read its memory",
            expected="bistable: copies=ok,ok current=0 order=a a=good b=no",
            seen=lines[-1] if lines else "nothing",
            hint="does the board boot with the boot script that belongs to its layout?",
        )
    return {"a": match[4], "b": match[5]}


def canary(subject: Subject) -> None:
    """Take the mark away: nothing may be installed until the boot loader has set it again."""
    running = subject.running
    name = subject.new_name()
    url = subject.offers.offer(name)
    known = _known(subject)
    subject.journal.step("take the boot loader's mark away")
    for command in _take_away(subject):
        subject.device.run(command)
    subject.journal.step(f"try to install {name} all the same")
    error = subject.ctl("install", url, allowed=ANY).get("error")
    subject.expect(
        "an installation without the mark",
        expected="refused, error code 'boot'",
        seen="taken" if error is None else f"refused, error code {error['code']!r}",
        hint=None if error is None else error["what"],
    )
    subject.expect("what is known of the slots after the refusal", expected=known, seen=_known(subject))
    slot = subject.reboot("so that the boot loader sets its mark again")
    subject.expect_running(running, slot, why="after the refusal")
    expect_no_fault(subject, "boot loader")


def _known(subject: Subject) -> str:
    slots = subject.slots()
    return ", ".join(f"{name} {state.words}" for name, state in sorted(slots.state.items()))


def _take_away(subject: Subject) -> Iterator[str]:
    if subject.flow.canary is Canary.FW_SETENV:
        yield "fw_setenv bistable_seen 0"
        return
    settings = subject.ctl("config", "--all")["settings"]
    for place in re.findall(r'"([^"]+)"', settings["boot.grub-copies"]["value"]):
        match = _COPY.fullmatch(place)
        assert match is not None
        device = match["name"]
        for prefix, folder in _LINKS.items():
            device = device.replace(prefix, folder, 1) if device.startswith(prefix) else device
        sector = int(match["offset"] or "0", 0) // _SECTOR
        yield _TAKE_FROM_BLOCK.format(device=shlex.quote(device), sector=sector)


def _no_canary(subject: Subject) -> str | None:
    flow = subject.board.boot.flow.value
    if subject.flow.canary is Canary.NONE:
        return f"with {flow} there is no mark by which the client sees that it and the boot loader mean the same"
    if subject.flow.canary is Canary.NOT_FROM_USERSPACE:
        return f"with {flow} the firmware tells what it has started, which user space cannot take away"
    return None


ENVIRONMENT_ROUND_TRIP: Final = Case(
    name="environment-round-trip",
    proves="What user space writes is what the boot loader reads, and the other way round.",
    run=environment_round_trip,
    why_not=needs_quiet_trial,
)

CANARY: Final = Case(
    name="canary",
    proves="Without the boot loader's mark in the memory that the client sees, nothing is installed; the boot loader "
    "sets it again.",
    run=canary,
    why_not=_no_canary,
)
