"""The first boot: everything is where it should be."""

from typing import Final

from bistable.tools.bringup.suite.cases.case import Case, always
from bistable.tools.bringup.suite.errors import UnexpectedError
from bistable.tools.bringup.suite.status import Slots
from bistable.tools.bringup.suite.subject import ANY, Subject
from bistable.tools.disk.geometry import SLOTS, place

NOTE: Final = "conformance-first-boot"
_WRITES: Final = (
    "mkdir -p {folder} && echo {note} >{folder}/{note} && sync && cat {folder}/{note} && rm {folder}/{note}"
)
_PARTITION: Final = (
    "name=$(basename $(readlink -f {device})); cat /sys/class/block/$name/partition /sys/class/block/$name/size"
)
SECTOR: Final = 512


def first_boot(subject: Subject) -> None:
    """Look at slots, data, and what the doctor says."""
    status = subject.status()
    slots = subject.slots_in(status)
    if subject.place.is_new:
        subject.expect("the slot that a new disk boots", expected="a", seen=subject.running)
    subject.expect("the slot that runs, as the client sees it", expected=subject.running, seen=slots.running)
    subject.expect("the slots that there are", expected="a b", seen=" ".join(sorted(slots.state)))
    subject.expect(
        "the device type that the client knows",
        expected=subject.board.device_type,
        seen=status.device_type,
        hint="[device] type of board.toml, and device.type or /var/lib/mender/device_type on the device, differ",
    )
    subject.journal.step("compare the slots with the layout")
    _compare_slots(subject, slots)
    subject.journal.step("write to the data partition")
    _write_data(subject)
    subject.journal.step("ask `bistablectl doctor`")
    expect_no_fault(subject)


def _compare_slots(subject: Subject, slots: Slots) -> None:
    if subject.board.layout is None:
        return
    geometry = place(subject.board.layout)
    for name, partition in zip(("a", "b"), SLOTS, strict=True):
        device = slots.state[name].device
        answer = subject.device.run(_PARTITION.format(device=device), allowed=ANY)
        found = answer.output.split()
        if answer.status != 0 or len(found) != 2 or not all(word.isdecimal() for word in found):
            raise UnexpectedError(
                f"the partition of slot {name}", expected=f"{device} is one", seen=answer.output or "nothing"
            )
        wanted = geometry.partition(partition)
        subject.expect(f"the number of the partition of slot {name}", expected=wanted.number, seen=int(found[0]))
        subject.expect(f"the bytes of slot {name}", expected=wanted.size, seen=int(found[1]) * SECTOR)


def _write_data(subject: Subject) -> None:
    folder = subject.data_folder()
    answer = subject.device.run(_WRITES.format(folder=folder, note=NOTE), allowed=ANY)
    subject.expect(
        f"what is read back from {folder}",
        expected=NOTE,
        seen=answer.output,
        hint="the data partition has to be mounted there, and writable: look at /etc/fstab and the data partition",
    )
    mounted = subject.device.run(f"stat -c %d {folder} /", allowed=ANY).output.split()
    subject.expect(
        f"whether {folder} is on another file system than the slot",
        expected=True,
        seen=len(mounted) == 2 and mounted[0] != mounted[1],
        hint="what is kept there would be lost with the next update",
    )


def expect_no_fault(subject: Subject, area: str | None = None) -> None:
    """Raise UnexpectedError for the first fault that `bistablectl doctor` finds, in one area or anywhere."""
    for finding in subject.ctl("doctor", allowed=(0, 1))["findings"]:
        words = f"{finding['area']}: {finding['what']}"
        if area not in {None, finding["area"]}:
            continue
        if finding["grade"] == "bad":
            raise UnexpectedError(
                "what `bistablectl doctor` finds", expected="no fault", seen=words, hint=finding["hint"]
            )
        if finding["grade"] == "doubt":
            subject.journal.remark(f"`bistablectl doctor` doubts: {words}")


FIRST_BOOT: Final = Case(
    name="first-boot",
    proves="The image boots the slot that it should, slots and data partition are where the layout has them, and "
    "`bistablectl doctor` finds no fault.",
    run=first_boot,
    why_not=always,
    start_counts=True,
)
