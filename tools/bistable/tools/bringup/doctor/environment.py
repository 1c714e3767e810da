"""Whether boot loader and device mean the same environment."""

import re
from collections.abc import Iterator
from typing import Final

from bistable.tools.board.model import Flow
from bistable.tools.boot.state import ORDER, SEEN
from bistable.tools.bringup.doctor.expected import ENVIRONMENT as FILE
from bistable.tools.bringup.doctor.expected import RENDERED, Copy, Expected, parse_copies
from bistable.tools.bringup.doctor.facts import Facts
from bistable.tools.bringup.doctor.finding import ENVIRONMENT, Finding, error

_PLACE: Final = f"/etc/{FILE}"
_PROGRAM: Final = "fw_printenv"
_VARIABLE: Final = re.compile(r"(bistable_\w+)=(.*)")
_NOT_FOUND: Final = 127
_RIGHT: Final = f"{_PLACE} in the root file system: {RENDERED}/{FILE} is what it has to be"
_SCRIPT: Final = f"the boot script on the boot partition: write the one in {RENDERED}/boot anew"
_BUILD: Final = f"the configuration of U-Boot: {RENDERED}/uboot.config says where its environment has to be"
_WRITERS: Final = {Flow.UBOOT: _SCRIPT, Flow.UBOOT_ENVIRONMENT: _BUILD, Flow.UBOOT_UBI: _BUILD}
"""What decides where the boot loader keeps its environment."""


def check_environment(expected: Expected, facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the environment of U-Boot, and with where the device looks for it."""
    if not expected.copies:
        return
    if facts.environment.status == _NOT_FOUND:
        yield error(
            ENVIRONMENT,
            f"the device has no {_PROGRAM}: the client cannot tell U-Boot anything",
            "the image of the root file system: add libubootenv-bin (Debian: libubootenv-tool)",
            found="".join(facts.environment.lines[-1:]),
            expected=_PROGRAM,
        )
    wrong = tuple(_table(expected, facts))
    yield from wrong
    # If the device looks in the wrong place, what is there says nothing.
    if not wrong and facts.environment.status != _NOT_FOUND:
        yield from _content(expected, facts)


def _table(expected: Expected, facts: Facts) -> Iterator[Finding]:
    wanted = "\n".join(map(str, expected.copies))
    if facts.environment_table is None:
        yield error(ENVIRONMENT, f"there is no {_PLACE}", _RIGHT, found="no such file", expected=wanted)
        return
    copies = tuple(parse_copies(facts.environment_table))
    for copy in copies:
        if facts.blocks and facts.block(copy.device) is None and not _is_flash(copy):
            yield error(
                ENVIRONMENT,
                f"{_PLACE} names {copy.device}, which is not there",
                _RIGHT,
                found=str(copy),
                expected=wanted,
            )
            return
    if len(copies) < len(expected.copies):
        what = f"{_PLACE} names {len(copies)} of two copies: a power cut while it is written may lose the environment"
    elif {_place(copy, facts) for copy in copies} != {_place(copy, facts) for copy in expected.copies}:
        what = f"{_PLACE} names another place than that where the boot loader keeps its environment"
    else:
        return
    yield error(ENVIRONMENT, what, _RIGHT, found="\n".join(map(str, copies)) or "no copy", expected=wanted)


def _is_flash(copy: Copy) -> bool:
    return copy.device.startswith(("/dev/mtd", "/dev/ubi"))


def _place(copy: Copy, facts: Facts) -> tuple[str, int, int]:
    """Return what a line means, however it calls the device."""
    block = facts.block(copy.device)
    name = copy.device if block is None else block.name
    if ":" in name and (volume := next((one for one in facts.volumes if one.label == name.partition(":")[2]), None)):
        name = f"/dev/{volume.name}"
    return name, copy.offset, copy.size


def _content(expected: Expected, facts: Facts) -> Iterator[Finding]:
    said = facts.environment
    values = {match[1]: match[2] for line in said.lines if (match := _VARIABLE.match(line))}
    writer = _WRITERS[expected.board.boot.flow]
    if not values:
        yield error(
            ENVIRONMENT,
            f"there is no environment of ours where {_PLACE} says: U-Boot has it elsewhere, or it was never written",
            f"{writer}; a new disk has one from the start, or U-Boot writes it when it first boots",
            found="\n".join(said.lines[-2:]) or f"nothing is said by {_PROGRAM}",
            expected=f"{ORDER}=... and {len(expected.variables) - 1} more",
        )
    elif ORDER not in values:
        yield error(
            ENVIRONMENT,
            "the environment does not say in which order the slots are booted",
            f"`bistablectl doctor` on the device; or {writer}",
            found=" ".join(f"{name}={value}" for name, value in values.items()),
            expected=f"{ORDER}=...",
        )
    elif values.get(SEEN) != "1":
        yield error(
            ENVIRONMENT,
            f"the boot loader has never saved anything where {_PLACE} says: the two mean different places",
            writer,
            found=f"{SEEN}={values.get(SEEN, '')}",
            expected=f"{SEEN}=1, which the boot script sets at the first boot",
        )
