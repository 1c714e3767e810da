"""Play with a simulated device: `python -m bistable.client.boot.simulated create|reboot|break|mend STATE.json ...`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bistable.client.boot.simulated import SimulatedSystem, boot, create, read_device, write_device
from bistable.client.errors import BootError, ClientError, UsageError
from bistable.client.model import SlotName
from bistable.client.system import LinuxSystem

USAGE: Final = """usage: python -m bistable.client.boot.simulated COMMAND STATE.json

create STATE.json        make a new device with slots a and b; a runs and is good, b is empty
reboot STATE.json        boot it, as the boot loader of a device would
break STATE.json SLOT    let what is in the slot not come up
mend STATE.json SLOT     let it come up again
"""


def main(words: Sequence[str]) -> int:
    """Do what the words say; return the exit status."""
    try:
        command, path, *rest = words
        act = COMMANDS[command]
    except (ValueError, KeyError):
        sys.stderr.write(USAGE)
        return UsageError.exit_code
    try:
        said = act(Path(path), rest)
    except ClientError as e:
        sys.stderr.write("\n".join(filter(None, [e.what, e.hint])) + "\n")
        return e.exit_code
    sys.stdout.write(said + "\n")
    return 0


def _create(path: Path, _: Sequence[str]) -> str:
    create(path, (SlotName("a"), SlotName("b")), now=LinuxSystem().boottime())
    return f"made {path}: slot a runs"


def _reboot(path: Path, _: Sequence[str]) -> str:
    slot = boot(path, now=LinuxSystem().boottime())
    return f"booted slot {slot} (boot {SimulatedSystem(path).boot_id()})"


def _break(path: Path, words: Sequence[str]) -> str:
    return _set_broken(path, words, lambda broken, slot: broken | {slot})


def _mend(path: Path, words: Sequence[str]) -> str:
    return _set_broken(path, words, lambda broken, slot: broken - {slot})


def _set_broken(
    path: Path,
    words: Sequence[str],
    change: Callable[[frozenset[SlotName], SlotName], frozenset[SlotName]],
) -> str:
    device = read_device(path)
    slot = SlotName(words[0] if words else "")
    if slot not in device.table.names:
        raise BootError(f"cannot find slot {slot!r}: there are {' and '.join(device.table.names)}")
    changed = replace(device, broken=change(device.broken, slot))
    write_device(path, changed)
    return f"slot {slot} {'does not come up' if slot in changed.broken else 'comes up'}"


COMMANDS: Final[Mapping[str, Callable[[Path, Sequence[str]], str]]] = {
    "create": _create,
    "reboot": _reboot,
    "break": _break,
    "mend": _mend,
}

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
