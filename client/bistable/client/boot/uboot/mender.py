"""The boot scripts of Mender, for U-Boot and for GRUB and systemd-boot, which speak the same.

| variable                                | meaning                                                                    |
|-----------------------------------------|----------------------------------------------------------------------------|
| `mender_boot_part`, `..._part_hex`      | number of the partition to boot, decimal and hexadecimal                   |
| `upgrade_available`                     | 1: the partition is on trial, boots are counted                            |
| `bootcount`                             | boots of the trial so far                                                  |
| `bootlimit`                             | how many there may be (1); one more, and the other partition is booted     |
| `mender_check_saveenv_canary`           | 1: the canary counts                                                       |
| `mender_saveenv_canary`                 | 1: the boot loader has saved its environment once                          |

At a boot with `upgrade_available=1` the boot loader adds one to `bootcount` and saves. When that is more than
`bootlimit`, it takes the other partition, sets `upgrade_available=0`, saves, and boots it.

The scheme knows one bit less than ours: a slot cannot be marked as one that must not be booted, only the other one be
made the one that is booted without a count. So `restore` has to believe its caller that the slot is good. With the
usual `bootlimit` of 1 a trial boots once, and only `rearm` lets it boot again before it is confirmed.

| call     | refused when                                               | writes                                    |
|----------|------------------------------------------------------------|-------------------------------------------|
| forbid   | it runs; it is the good one                                | part = the other, available = 0, count = 0 |
| activate | it is the good one                                         | part = the slot, available = 1, count = 0 |
| confirm  | it does not run; part is the other: it was given up        | available = 0, count = 0                  |
| restore  | it is on trial                                             | part = the slot, available = 0, count = 0 |
| rearm    | it does not run; part is the other: it was given up        | count = 0                                 |

The good one is the partition in `mender_boot_part` while `upgrade_available=0`, and the other one while it is 1.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bistable.client.boot.ports import Booted, SlotStatus, check_known
from bistable.client.boot.uboot.environment import Environment
from bistable.client.errors import BootError
from bistable.client.model import SlotName

PART: Final = "mender_boot_part"
PART_HEX: Final = "mender_boot_part_hex"
AVAILABLE: Final = "upgrade_available"
COUNT: Final = "bootcount"
LIMIT: Final = "bootlimit"
CHECK_CANARY: Final = "mender_check_saveenv_canary"
CANARY: Final = "mender_saveenv_canary"

_USUAL_LIMIT: Final = 1
_SETTLED: Final = {AVAILABLE: "0", COUNT: "0"}
_TRAILING_DIGITS: Final = re.compile(r"[0-9]+$")


class MenderBootloader:
    """The environment of Mender's boot scripts; `parts` are the slots' partition numbers, `booted` says what runs."""

    def __init__(
        self, environment: Environment, parts: Mapping[SlotName, int], *, booted: Booted | None = None
    ) -> None:
        self._environment, self._parts = environment, dict(parts)
        a, b = parts
        self._names = (a, b)
        if parts[a] == parts[b]:
            raise BootError(f"cannot tell slots {a} and {b} apart: both are partition {parts[a]}")
        self._booted = booted

    def primary(self) -> SlotName:
        """Return the slot that the next boot tries first."""
        variables = self._read()
        selected = self._selected(variables)
        return selected if self._tries(variables) != 0 else check_known(selected, self._names)

    def forbid(self, slot: SlotName) -> None:
        """Boot the other slot, without a trial."""
        variables = self._checked()
        other = check_known(slot, self._names)
        if slot == self._running():
            raise BootError(f"cannot forbid slot {slot}: it is running")
        self._require_good(other, variables, f"cannot forbid slot {slot}")
        self._write(variables, {**self._select(other), **_SETTLED})

    def activate(self, slot: SlotName) -> None:
        """Try the slot at the next boot."""
        variables = self._checked()
        self._require_good(check_known(slot, self._names), variables, f"cannot activate slot {slot}")
        self._write(variables, {**self._select(slot), AVAILABLE: "1", COUNT: "0"})

    def confirm(self, slot: SlotName) -> None:
        """Take the running slot as good."""
        variables = self._read()
        self._require_selected(slot, variables, f"cannot confirm slot {slot}")
        self._write(variables, _SETTLED)

    def restore(self, slot: SlotName) -> None:
        """Boot the slot, without a trial."""
        variables = self._read()
        if check_known(slot, self._names) == self._good(variables) and variables.get(AVAILABLE) == "1":
            raise BootError(f"cannot go back to slot {slot}: it is on trial", hint=f"confirm slot {slot} instead")
        self._write(variables, {**self._select(slot), **_SETTLED})

    def rearm(self, slot: SlotName) -> None:
        """Count the boots of the running trial from the start again."""
        variables = self._read()
        self._require_selected(slot, variables, f"cannot give slot {slot} its tries again")
        self._write(variables, {COUNT: "0"})

    def probe(self) -> None:
        """Write what means nothing to a boot script."""
        self._environment.probe()

    def faults(self) -> tuple[str, ...]:
        """Return what is wrong with the environment although it works."""
        return self._environment.faults()

    def status(self, slot: SlotName) -> SlotStatus:
        """Return what the environment says of the slot."""
        variables = self._read()
        check_known(slot, self._names)
        good = slot == self._good(variables)
        tries = None if slot != self._selected(variables) else self._tries(variables)
        return SlotStatus(bootable=good or bool(tries), good=good, tries_left=tries)

    def check_canary(self) -> None:
        """Raise BootError if the boot loader was to leave its mark, and has not."""
        self._checked()

    def _read(self) -> Mapping[str, str]:
        return self._environment.read()

    def _checked(self) -> Mapping[str, str]:
        variables = self._read()
        if variables.get(CHECK_CANARY) == "1" and variables.get(CANARY) != "1":
            raise BootError(
                f"cannot rely on the boot loader's environment: {CANARY} is not 1, so nothing that the boot loader "
                "saved can be read here",
                hint=f"the boot loader and {self._environment.where} have to name the same place, and the boot script "
                "has to run mender_setup",
            )
        return variables

    def _write(self, variables: Mapping[str, str], values: Mapping[str, str]) -> None:
        if any(variables.get(name) != value for name, value in values.items()):
            self._environment.write(values)

    def _select(self, slot: SlotName) -> dict[str, str]:
        return {PART: str(self._parts[slot]), PART_HEX: f"{self._parts[slot]:X}"}

    def _selected(self, variables: Mapping[str, str]) -> SlotName:
        value = variables.get(PART, "")
        for slot, part in self._parts.items():
            if value == str(part):
                return slot
        known = " nor ".join(f"{part} (slot {slot})" for slot, part in self._parts.items())
        raise BootError(
            f"cannot understand the boot loader's environment: {PART} is {value!r}, neither {known}",
            hint="check the slots' devices in the configuration, and that "
            f"{self._environment.where} names the boot loader's environment",
        )

    def _good(self, variables: Mapping[str, str]) -> SlotName:
        selected = self._selected(variables)
        return check_known(selected, self._names) if variables.get(AVAILABLE) == "1" else selected

    def _tries(self, variables: Mapping[str, str]) -> int | None:
        """Return how many tries the selected slot has left, None if it is not on trial."""
        if variables.get(AVAILABLE) != "1":
            return None
        try:
            limit, count = int(variables.get(LIMIT) or _USUAL_LIMIT), int(variables.get(COUNT) or 0)
        except ValueError as e:
            raise BootError(
                f"cannot understand the boot loader's environment: {LIMIT} is {variables.get(LIMIT)!r}, "
                f"{COUNT} is {variables.get(COUNT)!r}"
            ) from e
        return max(0, limit - count)

    def _running(self) -> SlotName | None:
        return self._booted() if self._booted is not None else None

    def _require_good(self, slot: SlotName, variables: Mapping[str, str], what: str) -> None:
        if self._good(variables) != slot:
            raise BootError(
                f"{what}: slot {slot} is not known to be good, and there would be nothing to fall back to",
                hint="commit or roll back the update that is under way first",
            )

    def _require_selected(self, slot: SlotName, variables: Mapping[str, str], what: str) -> None:
        check_known(slot, self._names)
        booted = self._running()
        if booted is not None and booted != slot:
            raise BootError(f"{what}: slot {booted} is running")
        if self._selected(variables) != slot:
            raise BootError(f"{what}: the boot loader has already gone back to slot {self._selected(variables)}")


def part_number(device: Path) -> int:
    """Return the number at the end of the device's name, after following links.

    Raises:
        BootError: there is none.
    """
    digits = _TRAILING_DIGITS.search(str(device.resolve()))
    if digits is None:
        raise BootError(
            f"cannot tell the partition number of {device}: its name does not end in digits",
            hint="give the slots' partition numbers in the configuration",
        )
    return int(digits[0])
