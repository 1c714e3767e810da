"""Two slots, by name and device."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.client.errors import SlotError
from bistable.client.model import SlotName

# Names become part of boot loader variables, which scripts of U-Boot and GRUB have to expand.
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place for a system: its name, and the partition, volume or file that it is.

    Raises:
        SlotError: the name has other than letters, digits and `_`, or the device is no absolute path.
    """

    name: SlotName
    device: Path

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SlotError(
                f"cannot use {self.name!r} as the name of a slot", hint="use up to 32 letters, digits and underscores"
            )
        if not self.device.is_absolute():
            raise SlotError(
                f"cannot use {self.device} as slot {self.name}: it is not an absolute path",
                hint=f"is it /dev/{self.device}?",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPair:
    """Two slots of which one runs while the other can be written.

    Raises:
        SlotError: both have the same name or the same device.
    """

    a: Slot
    b: Slot

    def __post_init__(self) -> None:
        if self.a.name == self.b.name:
            raise SlotError(f"cannot tell two slots apart: both are named {self.a.name}")
        if self.a.device == self.b.device:
            raise SlotError(
                f"cannot use {self.a.device} as slot {self.a.name} and as slot {self.b.name}",
                hint="give each slot a device of its own",
            )

    @property
    def names(self) -> tuple[SlotName, SlotName]:
        """Both names."""
        return self.a.name, self.b.name

    def slot(self, name: SlotName) -> Slot:
        """Return the slot of that name.

        Raises:
            SlotError: none has it.
        """
        for slot in (self.a, self.b):
            if slot.name == name:
                return slot
        raise SlotError(f"cannot find slot {name!r}: there are {self.a.name} and {self.b.name}")

    def other(self, name: SlotName) -> Slot:
        """Return the slot that is not the one of that name.

        Raises:
            SlotError: none has the name.
        """
        return self.b if self.slot(name) is self.a else self.a
