"""Whatever is called in whatever order, and whenever power fails: something that is good boots."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from client_boot import MENDER_FACTORY, SLOTS_FACTORY, A, B, Device, MemoryStore, MenderScript, SlotsScript
from client_boot_devices import reboot_simulated
from client_boot_efi import EfiDevice
from client_boot_firmware import RaspberryDevice, SystemdBootDevice
from client_boot_grub import GrubDevice
from hypothesis import given, settings
from hypothesis import strategies as st

from bistable.client.boot import Bootloader, Rearming
from bistable.client.boot.simulated import SimulatedBootloader, create
from bistable.client.boot.uboot.mender import MenderBootloader
from bistable.client.boot.uboot.slots import SlotsBootloader
from bistable.client.errors import BootError
from bistable.client.model import SlotName


class World:
    """A device together with the truth about its slots: which content would come up."""

    trusting = False
    """The boot loader believes that a slot to go back to is good."""

    def __init__(self) -> None:
        self.sound = {A}
        self.running: SlotName | None = A

    @property
    def loader(self) -> Bootloader:
        raise NotImplementedError

    def power_on(self) -> None:
        raise NotImplementedError

    def known(self) -> SlotName:
        assert self.running is not None
        return self.running

    def comes_up(self, slot: str) -> bool:
        return slot in self.sound


class SlotsWorld(World):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.store = MemoryStore(SLOTS_FACTORY)
        self.script = SlotsScript(self.store)
        self.power_on()

    @property
    def loader(self) -> Bootloader:
        return SlotsBootloader(self.store, (A, B), tries=2, booted=self.known)

    def power_on(self) -> None:
        self.running = self.script.power_on(self.comes_up)


class MenderWorld(World):
    trusting = True

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.store = MemoryStore(MENDER_FACTORY)
        self.script = MenderScript(self.store)
        self.power_on()

    @property
    def loader(self) -> Bootloader:
        return MenderBootloader(self.store, {A: 2, B: 10}, booted=self.known)

    def power_on(self) -> None:
        self.running = self.script.power_on(self.comes_up)


class SimulatedWorld(World):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "device.json"
        create(self.path, (A, B))

    @property
    def loader(self) -> Bootloader:
        return SimulatedBootloader(self.path, tries=2)

    def power_on(self) -> None:
        self.running = reboot_simulated(self.path, self.comes_up)


class RigWorld(World):
    """One of the devices on which the other tests are done."""

    kind: Callable[[Path], Device]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.rig = type(self).kind(folder)

    @property
    def loader(self) -> Bootloader:
        return self.rig.loader

    def power_on(self) -> None:
        self.running = self.rig.power_on(broken={"a", "b"} - self.sound)


class GrubWorld(RigWorld):
    kind = GrubDevice


class SystemdBootWorld(RigWorld):
    kind = SystemdBootDevice


class EfiWorld(RigWorld):
    trusting = True
    kind = EfiDevice


class RaspberryWorld(RigWorld):
    trusting = True
    kind = RaspberryDevice


def forbid_and_write(world: World, slot: SlotName, *, sound: bool) -> None:
    world.loader.forbid(slot)
    world.sound = world.sound | {slot} if sound else world.sound - {slot}


def restore(world: World, slot: SlotName) -> None:
    if not world.trusting or slot in world.sound:
        world.loader.restore(slot)


def rearm(world: World, slot: SlotName) -> None:
    loader = world.loader
    if isinstance(loader, Rearming):
        loader.rearm(slot)


MOVES: Mapping[str, Callable[[World, SlotName], None]] = {
    "write a sound system": lambda world, slot: forbid_and_write(world, slot, sound=True),
    "write garbage": lambda world, slot: forbid_and_write(world, slot, sound=False),
    "activate": lambda world, slot: world.loader.activate(slot),
    "confirm": lambda world, slot: world.loader.confirm(slot),
    "restore": restore,
    "rearm": rearm,
    "power": lambda world, slot: world.power_on(),
}
WORLDS: Mapping[str, Callable[[Path], World]] = {
    "slots": SlotsWorld,
    "mender": MenderWorld,
    "simulated": SimulatedWorld,
    "grub": GrubWorld,
    "systemd-boot": SystemdBootWorld,
    "efi": EfiWorld,
    "raspberry-pi": RaspberryWorld,
}


@pytest.mark.parametrize("kind", sorted(WORLDS))
@settings(max_examples=60)
@given(moves=st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.sampled_from([A, B])), max_size=12))
def test_no_sequence_of_calls_and_boots_leaves_a_device_that_does_not_boot(
    kind: str, moves: list[tuple[str, SlotName]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = WORLDS[kind](tmp_path_factory.mktemp("world"))
    for move, slot in moves:
        try:
            MOVES[move](world, slot)
        except BootError:
            continue  # refused: as good as never asked for
        assert world.running is not None
    world.power_on()
    assert world.running in world.sound


def test_a_device_whose_rules_are_broken_by_hand_is_lost(tmp_path: Path) -> None:
    world = SlotsWorld(tmp_path)
    world.store.write({"bistable_order": "b", "bistable_b_good": "1"})
    world.power_on()
    assert world.running is None
