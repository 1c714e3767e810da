"""A simulated device for trials, tutorials and tests: its boot loader, its restart, and a file that is its memory.

The file is JSON and can be read and changed by hand:

    {"boot_id": "...", "booted": "a", "booted_at": 1234.5,
     "slots": {"a": {"priority": 1, "tries": 0, "good": true, "broken": false},
               "b": {"priority": 0, "tries": 0, "good": false, "broken": false}}}

The slot of highest priority is tried first, one of priority 0 never. A slot that is `broken` does not come up, whatever
is in it. The rules are those of `bistable.client.boot.table`, the same as with U-Boot and our boot script.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.client.boot.ports import SlotStatus
from bistable.client.boot.table import MOST_TRIES, Table, check_tries
from bistable.client.errors import BootError, ClientError
from bistable.client.files import read_limited, replacing
from bistable.client.model import SlotName
from bistable.client.system import LinuxSystem, System

MOST_STATE: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What the file says. `booted` is None while nothing boots."""

    boot_id: str
    booted: SlotName | None
    booted_at: float
    """Boot time clock of the real machine at the last boot."""
    table: Table
    broken: frozenset[SlotName] = frozenset()


class SimulatedBootloader:
    """The boot loader of a simulated device, whose memory is the file at `path`."""

    def __init__(self, path: Path, *, tries: int) -> None:
        self._path, self._trial = path, check_tries(tries)

    def primary(self) -> SlotName:
        """Return the slot that the next boot tries first."""
        return read_device(self._path).table.primary()

    def forbid(self, slot: SlotName) -> None:
        """Never boot the slot, from now on."""
        self._change(lambda device: device.table.forbid(slot, booted=device.booted))

    def activate(self, slot: SlotName) -> None:
        """Try the slot at the next boots."""
        self._change(lambda device: device.table.activate(slot, tries=self._trial, booted=device.booted))

    def confirm(self, slot: SlotName) -> None:
        """Take the running slot as good."""
        self._change(lambda device: device.table.confirm(slot, booted=device.booted))

    def restore(self, slot: SlotName) -> None:
        """Boot only this slot, which is known to be good."""
        self._change(lambda device: device.table.restore(slot, booted=device.booted))

    def rearm(self, slot: SlotName) -> None:
        """Give the running trial its tries again."""
        self._change(lambda device: device.table.rearm(slot, tries=self._trial, booted=device.booted))

    def status(self, slot: SlotName) -> SlotStatus:
        """Return what the file says of the slot."""
        return read_device(self._path).table.status(slot)

    def current(self) -> SlotName:
        """Return the slot that runs."""
        booted = read_device(self._path).booted
        if booted is None:
            raise BootError("cannot tell which slot runs: the simulated device did not come up")
        return booted

    def _change(self, change: Callable[[Device], Table]) -> None:
        device = read_device(self._path)
        table = change(device)
        if table != device.table:
            write_device(self._path, replace(device, table=table))


class SimulatedSystem:
    """A simulated machine: it restarts at once, and the process that asked for it lives on, which a real one does not.

    `boots` looks at what is in a slot and says whether that would come up; `machine` is the real one, for its clocks.
    """

    def __init__(
        self, path: Path, *, boots: Callable[[SlotName], bool] | None = None, machine: System | None = None
    ) -> None:
        self._path, self._boots = path, boots
        self._machine = machine or LinuxSystem()

    def boot_id(self) -> str:
        """Return the identifier of the simulated boot."""
        return read_device(self._path).boot_id

    def reboot(self) -> None:
        """Boot the simulated device."""
        boot(self._path, boots=self._boots, now=self._machine.boottime())

    def boottime(self) -> float:
        """Return the seconds since the simulated boot."""
        # The file may come from an earlier boot of the real machine, whose clock had gone further.
        return max(0.0, self._machine.boottime() - read_device(self._path).booted_at)

    def wall(self) -> float:
        """Return the time of day of the real machine."""
        return self._machine.wall()

    def sync(self) -> None:
        """Do what the real machine does."""
        self._machine.sync()


def create(path: Path, names: tuple[SlotName, SlotName], *, now: float = 0.0) -> None:
    """Write the file of a new device: the first slot runs and is good, the second is empty.

    Raises:
        BootError: it cannot be written.
    """
    table = Table(names=names, order=(names[0],), good=frozenset({names[0]}), tries=dict.fromkeys(names, 0))
    write_device(path, Device(boot_id=str(uuid.uuid4()), booted=names[0], booted_at=now, table=table))


def boot(path: Path, *, boots: Callable[[SlotName], bool] | None = None, now: float = 0.0) -> SlotName:
    """Do what a boot loader does, again and again until a slot comes up; return it.

    Raises:
        BootError: none does. That stays so: the device is lost.
    """
    device = replace(read_device(path), booted=None)
    for table in (device.table, device.table.renewed()):
        device = replace(device, table=table)
        unloadable: set[SlotName] = set()
        while slots := [slot for slot in device.table.candidates() if slot not in unloadable]:
            slot = slots[0]
            device = replace(device, table=device.table.counted(slot))
            write_device(path, device)
            if slot not in device.broken and (boots is None or boots(slot)):
                write_device(path, replace(device, boot_id=str(uuid.uuid4()), booted=slot, booted_at=now))
                return slot
            if slot in device.table.good:
                unloadable.add(slot)
    write_device(path, device)
    raise BootError("cannot boot the simulated device: no slot comes up", hint=f"look into {path}")


def read_device(path: Path) -> Device:
    """Return what the file says.

    Raises:
        BootError: it cannot be read, or is not such a file.
    """
    try:
        return _parse(json.loads(read_limited(path, MOST_STATE)))
    except OSError as e:
        raise BootError(f"cannot read the simulated device {path}: {e.strerror or e}", hint="make it first") from e
    except ClientError as e:
        raise BootError(f"cannot read the simulated device {path}: {e.what}", hint=e.hint) from e
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise BootError(f"cannot understand the simulated device {path}: {e}") from e


def write_device(path: Path, device: Device) -> None:
    """Write the file, as a whole or not at all.

    Raises:
        BootError: it cannot be written.
    """
    order, table = device.table.order, device.table
    slots = {
        name: {
            "priority": len(order) - order.index(name) if name in order else 0,
            "tries": table.tries[name],
            "good": name in table.good,
            "broken": name in device.broken,
        }
        for name in table.names
    }
    found = {"boot_id": device.boot_id, "booted": device.booted, "booted_at": device.booted_at, "slots": slots}
    try:
        with replacing(path) as file:
            file.write(json.dumps(found, indent=2).encode() + b"\n")
    except MachineError as e:
        raise BootError(f"cannot change the simulated device: {e.what}", hint=e.hint) from e


def _parse(found: Mapping[str, object]) -> Device:
    slots = found["slots"]
    if not isinstance(slots, dict) or len(slots) != 2:
        raise ValueError("it does not have two slots")
    a, b = (SlotName(str(name)) for name in slots)
    priorities = {name: _number(slots[name], "priority", most=2) for name in (a, b)}
    order = sorted((name for name in (a, b) if priorities[name]), key=lambda name: -priorities[name])
    table = Table(
        names=(a, b),
        order=tuple(order),
        good=frozenset(name for name in (a, b) if _number(slots[name], "good", most=1)),
        tries={name: _number(slots[name], "tries", most=MOST_TRIES) for name in (a, b)},
    )
    booted, booted_at = found["booted"], found["booted_at"]
    if booted not in {a, b, None} or not isinstance(booted_at, int | float):
        raise ValueError(f"booted is {booted!r}, booted_at is {booted_at!r}")
    return Device(
        boot_id=str(found["boot_id"]),
        booted=None if booted is None else SlotName(str(booted)),
        booted_at=float(booted_at),
        table=table,
        broken=frozenset(name for name in (a, b) if slots[name].get("broken", False)),
    )


def _number(slot: Mapping[str, object], key: str, *, most: int) -> int:
    value = slot[key]
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{key} is {value!r}")
    return int(value)
