"""What started the system: which slot, which arguments, and whether the kernel is that of the slot."""

import re
from collections.abc import Iterator
from typing import Final

from bistable.tools.bringup.doctor.expected import RENDERED, Expected
from bistable.tools.bringup.doctor.facts import Facts
from bistable.tools.bringup.doctor.finding import START, Finding, error, warning

_SLOT: Final = re.compile(r"(?:^|\s)bistable\.slot=(\S+)")
_ROOT: Final = re.compile(r"(?:^|\s)root=(\S+)")
_CONSOLE: Final = "console="


def check_starting(expected: Expected, facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong in how the system was started."""
    yield from _files(expected, facts)
    yield from _modules(facts)
    if facts.command_line is None or expected.board.vendor is not None:
        return
    slot = running_slot(facts)
    if slot is None:
        yield _not_by_us(expected, facts.command_line)
        return
    yield from _root(expected, facts.command_line, slot)
    yield from _arguments(expected, facts.command_line)


def running_slot(facts: Facts) -> str | None:
    """Return the slot that the kernel was told."""
    found = _SLOT.search(facts.command_line or "")
    return None if found is None else found[1]


def _not_by_us(expected: Expected, command_line: str) -> Finding:
    return error(
        START,
        "the kernel was not told its slot: something else than our boot script, or its entries, has started it",
        f"the boot loader: {_SCRIPTS.get(expected.board.boot.flow.value, 'see the page of the board')}",
        found=command_line.strip(),
        expected="bistable.slot=a or b in the kernel's command line",
    )


_UBOOT: Final = (
    f"U-Boot has to run boot.scr of the boot partition before all else, with what {RENDERED}/uboot.config says"
)
_SCRIPTS: Final = {
    "uboot": _UBOOT,
    "uboot-environment": _UBOOT,
    "uboot-ubi": f"U-Boot needs CONFIG_BOOTCOMMAND and the rest of {RENDERED}/uboot.config",
    "grub": f"its grub.cfg has to be the one in {RENDERED}/boot",
    "systemd-boot": f"its entries have to be those in {RENDERED}/boot/loader, and nothing else may be started first",
    "efi": "the firmware has to start the entries that the client makes",
    "raspberry-pi": f"each slot's own boot partition needs the cmdline.txt of {RENDERED}/boot-a and boot-b",
}


def _root(expected: Expected, command_line: str, slot: str) -> Iterator[Finding]:
    found = _ROOT.search(command_line)
    root, wanted = None if found is None else found[1], expected.roots.get(slot)
    if root is None or wanted is None or root.lower() == wanted.lower():
        return
    yield error(
        START,
        f"slot {slot} has another root file system than board.toml gives it",
        f"write the boot script in {RENDERED}/boot anew to the boot partition; or [disk] seed of board.toml, if the"
        " disk was made with another one",
        found=f"root={root}",
        expected=f"root={wanted}",
    )


def _arguments(expected: Expected, command_line: str) -> Iterator[Finding]:
    words = command_line.split()
    console = f"{_CONSOLE}{expected.board.console.device}"
    if not any(word == console or word.startswith(f"{console},") for word in words):
        yield error(
            START,
            f"the kernel does not speak on {expected.board.console.device}, the serial console of the board",
            f"[boot] arguments in board.toml: add {console},{expected.board.console.speed}; or [console] device",
            found=" ".join(word for word in words if word.startswith(_CONSOLE)) or "no console= at all",
            expected=f"{console},{expected.board.console.speed}",
        )
    missing = [word for word in expected.arguments if word not in words and not word.startswith(console)]
    if missing:
        yield warning(
            START,
            "the kernel was started without arguments that board.toml has: the device has another boot script",
            f"write the boot script in {RENDERED}/boot anew to the boot partition",
            found=command_line.strip(),
            expected=" ".join(missing),
        )


def _files(expected: Expected, facts: Facts) -> Iterator[Finding]:
    for path, what in expected.files.items():
        if path not in facts.files:
            yield error(
                START,
                f"the {what} {path} is not in the running slot: an update with a system like it would not start",
                f"the image of the root file system: put the {what} there; or its path in board.toml",
                found="no such file",
                expected=path,
            )


def _modules(facts: Facts) -> Iterator[Finding]:
    if facts.kernel and facts.modules and facts.kernel not in facts.modules:
        yield error(
            START,
            "the running kernel is none of those that the system in the slot has modules for: it is not from the slot",
            "the boot loader has to load the kernel from the slot, not from a partition that both share; or the image"
            " lacks the modules of its kernel",
            found=f"kernel {facts.kernel}, modules for {', '.join(facts.modules)}",
            expected=f"/lib/modules/{facts.kernel}",
        )
