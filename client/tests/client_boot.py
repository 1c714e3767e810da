"""Models of boot scripts, and what every device for tests of boot loaders is: power that fails, slots that are broken.

A boot script is modelled from its description (the docstrings of boot/uboot), not with our own code.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from bistable.client.boot import Bootloader
from bistable.client.model import SlotName
from bistable.client.slots import Slot, SlotPair

A, B = SlotName("a"), SlotName("b")
PAIR = SlotPair(a=Slot(name=A, device=Path("/dev/mmcblk0p2")), b=Slot(name=B, device=Path("/dev/mmcblk0p10")))
RESETS = 40
"""After so many resets in a row a device will not come up any more."""
SLOTS_FACTORY = {
    "bistable_order": "a",
    "bistable_a_good": "1",
    "bistable_a_tries": "0",
    "bistable_b_good": "0",
    "bistable_b_tries": "0",
}
MENDER_FACTORY = {
    "mender_boot_part": "2",
    "mender_boot_part_hex": "2",
    "upgrade_available": "0",
    "bootcount": "0",
    "bootlimit": "1",
    "mender_check_saveenv_canary": "1",
}


class Store(Protocol):
    """Where a boot script keeps its variables."""

    def load(self) -> dict[str, str]: ...

    def save(self, variables: Mapping[str, str]) -> None: ...


class MemoryStore:
    """Variables in memory, for the script and for our code alike."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)

    def load(self) -> dict[str, str]:
        return dict(self.variables)

    def save(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)

    def read(self) -> Mapping[str, str]:
        return dict(self.variables)

    def write(self, values: Mapping[str, str]) -> None:
        self.variables |= values

    def probe(self) -> None:
        self.variables["probed"] = "1"

    def faults(self) -> tuple[str, ...]:
        return ()

    @property
    def where(self) -> str:
        return "the memory"


class SlotsScript:
    """The boot script of boot/uboot/slots.py."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.attempts: list[str] = []

    def power_on(self, comes_up: Callable[[str], bool]) -> SlotName | None:
        for _ in range(RESETS):
            slot = self._run(comes_up)
            if slot is not None:
                return SlotName(slot)
        return None

    def _run(self, comes_up: Callable[[str], bool]) -> str | None:
        """From power-on to a system that runs, or a reset (None)."""
        variables = self.store.load()
        if not variables.get("bistable_order"):
            variables["bistable_order"] = "a b"
            for slot in "ab":
                variables |= {f"bistable_{slot}_good": "0", f"bistable_{slot}_tries": "3"}
        if variables.get("bistable_seen") != "1":
            variables["bistable_seen"] = "1"
            self.store.save(variables)
        for slot in variables["bistable_order"].split():
            good = variables[f"bistable_{slot}_good"] == "1"
            tries = int(variables[f"bistable_{slot}_tries"], 16)
            if not good and tries == 0:
                continue
            if not good:
                variables[f"bistable_{slot}_tries"] = f"{tries - 1:x}"
                self.store.save(variables)
            self.attempts.append(slot)
            if comes_up(slot):
                return slot
            if not good:
                return None
        for slot in variables["bistable_order"].split():
            if variables[f"bistable_{slot}_good"] != "1":
                variables[f"bistable_{slot}_tries"] = "3"
        self.store.save(variables)
        return None


class MenderScript:
    """U-Boot's boot count in its environment with Mender's altbootcmd; partitions 2 and 10 are slots a and b."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.attempts: list[str] = []

    def power_on(self, comes_up: Callable[[str], bool]) -> SlotName | None:
        for _ in range(RESETS):
            variables = self.store.load() or dict(MENDER_FACTORY)
            if variables.get("mender_saveenv_canary") != "1":
                variables["mender_saveenv_canary"] = "1"
                self.store.save(variables)
            if variables["upgrade_available"] == "1":
                count = int(variables["bootcount"]) + 1
                variables["bootcount"] = str(count)
                self.store.save(variables)
                if count > int(variables["bootlimit"]):
                    self._flip(variables)
            slot = {"2": A, "10": B}[variables["mender_boot_part"]]
            assert int(variables["mender_boot_part_hex"], 16) == int(variables["mender_boot_part"])
            self.attempts.append(slot)
            if comes_up(slot):
                return slot
        return None

    def _flip(self, variables: dict[str, str]) -> None:
        other = {"2": "10", "10": "2"}[variables["mender_boot_part"]]
        variables |= {"mender_boot_part": other, "mender_boot_part_hex": f"{int(other):X}", "upgrade_available": "0"}
        self.store.save(variables)


class Device:
    """A device under test: `loader` is our side, `power_on` the boot loader's; `running` is what came up last."""

    tries: int
    """How often a trial is booted before the fallback."""
    running: SlotName | None = A

    def __init__(self) -> None:
        self.broken: set[str] = set()

    @property
    def loader(self) -> Bootloader:
        """A new one each time, as after a power cut."""
        raise NotImplementedError

    def power_on(self, *, broken: Collection[str] | None = None) -> SlotName | None:
        """Boot until a slot comes up; None if none does."""
        self.broken = self.broken if broken is None else set(broken)
        self.running = self._boot()
        return self.running

    def comes_up(self, slot: str) -> bool:
        return slot not in self.broken

    def booted(self) -> SlotName:
        assert self.running is not None
        return self.running

    def memory(self) -> bytes:
        """What must not change when a call is repeated."""
        raise NotImplementedError

    def _boot(self) -> SlotName | None:
        raise NotImplementedError
