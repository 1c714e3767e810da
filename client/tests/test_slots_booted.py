"""Which slot runs: kernel arguments, root device, what is mounted, and what happens when they do not agree."""

from pathlib import Path

import pytest

from bistable.client.errors import SlotError
from bistable.client.model import SlotName
from bistable.client.slots import Slot, SlotPair, booted_slot, running_slot
from bistable.client.slots.devices import Mount

A, B = SlotName("a"), SlotName("b")
PAIR = SlotPair(a=Slot(name=A, device=Path("/dev/mmcblk0p2")), b=Slot(name=B, device=Path("/dev/mmcblk0p3")))
DEVICES = {
    "/dev/mmcblk0p2": "179:2",
    "/dev/mmcblk0p3": "179:3",
    "PARTUUID=two": "179:2",
    "PARTLABEL=rootfs-b": "179:3",
    "/dev/sda1": "8:1",
}
ROOT_A = Mount(identity="179:2", point=Path("/"), source="/dev/root")
ROOT_B = Mount(identity="179:3", point=Path("/"), source="/dev/root")
OVERLAY = Mount(identity="0:26", point=Path("/"), source="overlay")


def booted(cmdline: str, root: Mount | None = None) -> SlotName:
    return booted_slot(PAIR, cmdline=cmdline, root=root, identify=DEVICES.get)


@pytest.mark.parametrize(
    ("cmdline", "root", "slot"),
    [
        ("bistable.slot=b quiet", None, B),
        ("quiet rauc.slot=a\n", None, A),
        ("bistable.slot=b rauc.slot=b", None, B),
        ("root=/dev/mmcblk0p3 ro", None, B),
        ("root=PARTUUID=two", None, A),
        ('root="PARTLABEL=rootfs-b"', None, B),
        ("root=/dev/sda1 root=/dev/mmcblk0p3", None, B),
        ("quiet", ROOT_B, B),
        ("root=/dev/mmcblk0p2", ROOT_A, A),
        ("root=/dev/dm-0 bistable.slot=b", OVERLAY, B),
        ("root=/dev/mmcblk0p3", OVERLAY, B),
        ('dyndbg="file x.c +p bistable.slot=a" bistable.slot=b', None, B),
        ("quiet", Mount(identity="0:44", point=Path("/"), source="/dev/mmcblk0p3"), B),
    ],
)
def test_the_running_slot_is_known_from(cmdline: str, root: Mount | None, slot: SlotName) -> None:
    assert booted(cmdline, root) == slot


@pytest.mark.parametrize(
    ("cmdline", "root", "words"),
    [
        ("bistable.slot=a rauc.slot=b", None, "bistable.slot=a says a, but rauc.slot=b says b"),
        ("bistable.slot=a root=/dev/mmcblk0p3", None, "bistable.slot=a says a, but root=/dev/mmcblk0p3 says b"),
        ("root=/dev/mmcblk0p2", ROOT_B, "root=/dev/mmcblk0p2 says a, but what is mounted as / (/dev/root) says b"),
        ("bistable.slot=b", ROOT_A, "bistable.slot=b says b, but what is mounted as / (/dev/root) says a"),
    ],
)
def test_hints_that_contradict_one_another_are_an_error(cmdline: str, root: Mount | None, words: str) -> None:
    with pytest.raises(SlotError, match="cannot tell which slot runs") as caught:
        booted(cmdline, root)
    assert words in caught.value.what
    assert "right devices" in str(caught.value.hint)


@pytest.mark.parametrize(("cmdline", "root"), [("quiet", None), ("root=/dev/nfs", OVERLAY), ("root=/dev/sda1", None)])
def test_nothing_that_points_to_a_slot_is_an_error(cmdline: str, root: Mount | None) -> None:
    with pytest.raises(SlotError, match=r"neither the kernel's arguments nor / point to /dev/mmcblk0p2 or") as caught:
        booted(cmdline, root)
    assert caught.value.hint == "let the boot script add bistable.slot=a to the kernel's arguments"


def test_a_slot_that_is_not_known_is_an_error() -> None:
    with pytest.raises(SlotError, match=r"rauc.slot=C is neither a nor b"):
        booted("rauc.slot=C root=/dev/mmcblk0p2")


def test_the_boot_loader_may_have_names_of_its_own() -> None:
    names = {A: "system0", B: "system1"}
    assert booted_slot(PAIR, cmdline="rauc.slot=system1", root=None, identify=DEVICES.get, boot_names=names) == B


def test_two_names_of_one_device_are_found_out() -> None:
    both = {"/dev/mmcblk0p2": "179:2", "/dev/mmcblk0p3": "179:2"}
    with pytest.raises(SlotError, match="are the same device"):
        booted_slot(PAIR, cmdline="bistable.slot=a", root=None, identify=both.get)


def test_this_machine_is_asked(tmp_path: Path) -> None:
    pair = SlotPair(a=Slot(name=A, device=tmp_path / "a"), b=Slot(name=B, device=tmp_path / "b"))
    with pytest.raises(SlotError, match="cannot tell which slot runs"):
        running_slot(pair)


# --- pairs


def test_a_pair_gives_slots_by_name() -> None:
    assert PAIR.slot(B) == PAIR.b
    assert (PAIR.other(A), PAIR.other(B)) == (PAIR.b, PAIR.a)
    assert PAIR.names == (A, B)
    with pytest.raises(SlotError, match="cannot find slot 'c': there are a and b"):
        PAIR.other(SlotName("c"))


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a=b", "ä", "x" * 33, "a\n"])
def test_a_name_that_a_boot_script_cannot_use_is_refused(name: str) -> None:
    with pytest.raises(SlotError, match="as the name of a slot"):
        Slot(name=SlotName(name), device=Path("/dev/sda1"))


def test_a_device_is_an_absolute_path() -> None:
    with pytest.raises(SlotError, match="not an absolute path") as caught:
        Slot(name=A, device=Path("ubi0_1"))
    assert caught.value.hint == "is it /dev/ubi0_1?"


def test_two_slots_have_two_names_and_two_devices() -> None:
    with pytest.raises(SlotError, match="both are named a"):
        SlotPair(a=Slot(name=A, device=Path("/dev/x")), b=Slot(name=A, device=Path("/dev/y")))
    with pytest.raises(SlotError, match="cannot use /dev/x as slot a and as slot b"):
        SlotPair(a=Slot(name=A, device=Path("/dev/x")), b=Slot(name=B, device=Path("/dev/x")))
