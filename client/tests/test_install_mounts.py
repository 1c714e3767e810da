"""A mounted slot is left alone, unless it was an automounter that mounted it."""

from pathlib import Path

import pytest
from client_slots import MIB, A, B, FakeBoot, Image, file_slots, loop_device, make_file_system, mounting

from bistable.client.errors import ProgramError, SlotError
from bistable.client.install import RootfsPayload
from bistable.client.install.mounts import MOST_MOUNTS, free_from_automounts
from bistable.client.slots import Slot, SlotPair

SLOT = Slot(name=B, device=Path("/dev/mmcblk0p3"))


class Mounts:
    """What is mounted, topmost last."""

    def __init__(self, *points: str, busy: bool = False) -> None:
        self.points = [Path(point) for point in points]
        self.busy = busy

    def mounted(self, device: Path) -> Path | None:
        assert device == SLOT.device
        return self.points[-1] if self.points else None

    def unmount(self, point: Path) -> None:
        if self.busy:
            raise ProgramError("cannot finish umount: it ended with exit status 32", hint="target is busy")
        self.points.remove(point)


def free(mounts: Mounts) -> None:
    free_from_automounts(SLOT, mounted=mounts.mounted, unmount=mounts.unmount)


def test_a_slot_that_is_not_mounted_is_fine() -> None:
    free(Mounts())


@pytest.mark.parametrize("points", [["/media/mmcblk0p3"], ["/run/media/root/rootfs"], ["/media/a", "/run/media/b"]])
def test_what_automounters_did_is_undone(points: list[str]) -> None:
    mounts = Mounts(*points)
    free(mounts)
    assert mounts.points == []


@pytest.mark.parametrize("point", ["/", "/mnt/other", "/mediation", "/run", "/srv/media/x"])
def test_what_somebody_did_is_left_alone_and_named(point: str) -> None:
    mounts = Mounts("/media/x", point)
    with pytest.raises(SlotError, match=f"is mounted at {point}") as caught:
        free(mounts)
    assert caught.value.hint == f"unmount it: umount {point}"
    assert mounts.points == [Path("/media/x"), Path(point)]


def test_an_automounters_mount_that_is_in_use_is_told_of() -> None:
    with pytest.raises(SlotError, match="cannot unmount /media/x, where slot b is mounted") as caught:
        free(Mounts("/media/x", busy=True))
    assert caught.value.hint == "target is busy"


def test_an_automounter_that_does_not_give_up_is_told_of() -> None:
    with pytest.raises(SlotError, match="is mounted at /media/x"):
        free(Mounts(*["/media/x"] * (MOST_MOUNTS + 1)))


def test_a_slot_mounted_by_somebody_is_neither_forbidden_nor_written(tmp_path: Path) -> None:
    pair = file_slots(tmp_path, size=16 * MIB)
    make_file_system(pair.slot(B).device)
    for device in loop_device(pair.slot(B).device):
        pair = SlotPair(a=pair.a, b=Slot(name=B, device=device))
        point = tmp_path / "point"
        point.mkdir()
        unmount = mounting("-o", "ro", device, point)
        boot = FakeBoot()
        payload = RootfsPayload(pair, origin=A, running=lambda: A, boot=boot, note=tmp_path / "note")
        try:
            with pytest.raises(SlotError, match=f"is mounted at {point}"):
                payload.download([Image(b"x" * MIB)])
            assert boot.calls == []
        finally:
            unmount()
        payload.download([Image(b"x" * MIB)])
        assert boot.calls == ["forbid b"]
