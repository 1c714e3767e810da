"""A root file system image goes into the slot that does not run, and is booted only if it is there as it should be."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from client_slots import MIB, A, B, CanaryBoot, FakeBoot, Image, RearmingBoot, file_slots, loop_device, random_bytes

from bistable.artifact.errors import RejectedError
from bistable.client.errors import (
    AbortedError,
    BootError,
    NotBootedError,
    SlotError,
    StoreError,
    UnsuitableError,
)
from bistable.client.install import RootfsPayload, RootfsSettings
from bistable.client.install.rootfs import ImageFile
from bistable.client.model import RebootNeed, SlotName
from bistable.client.slots import Slot, SlotPair

CONTENT = random_bytes(3 * MIB + 1000, seed=7)


class Rig:
    """A device with two slots in files, of which `a` runs."""

    def __init__(self, folder: Path, boot: FakeBoot | None = None) -> None:
        self.pair = file_slots(folder)
        self.boot = boot or FakeBoot()
        self.note = folder / "data" / "rootfs-image.json"
        self.runs = A
        self.progress: list[tuple[int, int | None]] = []

    def payload(self, **more: object) -> RootfsPayload:
        return RootfsPayload(
            self.pair,
            origin=A,
            running=lambda: self.runs,
            boot=self.boot,
            note=self.note,
            on_progress=lambda done, total: self.progress.append((done, total)),
            **more,  # type: ignore[arg-type]
        )

    def target(self) -> bytes:
        return self.pair.slot(B).device.read_bytes()

    def is_untouched(self) -> bool:
        return self.target() == random_bytes(8 * MIB, seed=1)

    def change_target(self, at: int) -> None:
        with self.pair.slot(B).device.open("r+b") as file:
            file.seek(at)
            file.write(b"changed")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_an_update_from_download_to_commit(rig: Rig) -> None:
    payload = rig.payload()
    payload.download([Image(CONTENT)])
    assert rig.boot.calls == ["forbid b"]
    assert rig.target()[: len(CONTENT)] == CONTENT
    payload.install()
    assert payload.supports_rollback()
    assert payload.reboot_need() is RebootNeed.AUTOMATIC
    assert rig.boot.calls == ["forbid b"]
    payload.arm()
    assert rig.boot.calls[-1] == "activate b"
    payload.reboot()
    rig.runs = B
    after = rig.payload()
    after.verify_reboot()
    after.commit()
    assert rig.boot.calls == ["forbid b", "activate b", "confirm b"]
    after.cleanup()
    assert not rig.note.exists()
    assert rig.pair.slot(A).device.read_bytes() == random_bytes(8 * MIB, seed=0)


def test_a_rollback_after_the_reboot(rig: Rig) -> None:
    rig.payload().download([Image(CONTENT)])
    rig.payload().arm()
    rig.runs = B
    payload = rig.payload()
    payload.rollback()
    payload.rollback_reboot()
    with pytest.raises(NotBootedError, match="slot a should run, but b does"):
        payload.verify_rollback_reboot()
    rig.runs = A
    payload.verify_rollback_reboot()
    payload.rollback()
    payload.failure()
    payload.cleanup()
    payload.cleanup()
    assert rig.boot.calls[2:] == ["restore a", "restore a"]


def test_the_other_way_round(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    payload = RootfsPayload(rig.pair, origin=B, running=lambda: B, boot=rig.boot, note=rig.note)
    payload.download([Image(CONTENT)])
    assert rig.boot.calls == ["forbid a"]
    assert rig.is_untouched()
    assert rig.pair.slot(A).device.read_bytes()[: len(CONTENT)] == CONTENT


def test_progress_is_told_up_to_the_whole(rig: Rig) -> None:
    rig.payload().download([Image(CONTENT, chunk=MIB)])
    assert rig.progress[:4] == [(min(n * MIB, len(CONTENT)), len(CONTENT)) for n in range(1, 5)]
    assert set(rig.progress[4:]) == {(len(CONTENT), len(CONTENT))}


@pytest.mark.parametrize("skip", [False, True])
def test_an_image_that_is_there_already_can_be_installed_again(rig: Rig, skip: bool) -> None:
    for _ in range(2):
        payload = rig.payload(settings=RootfsSettings(skip_identical=skip))
        payload.download([Image(CONTENT)])
        payload.arm()
    assert rig.target()[: len(CONTENT)] == CONTENT
    assert rig.boot.calls == ["forbid b", "activate b"] * 2


# --- what is refused before anything happens


def test_an_image_that_is_too_large_changes_nothing(rig: Rig) -> None:
    with pytest.raises(SlotError, match=f"it has {8 * MIB + 1} bytes, slot b .* holds {8 * MIB}"):
        rig.payload().download([Image(bytes(8 * MIB + 1))])
    assert rig.is_untouched()
    assert rig.boot.calls == []


def test_an_image_of_exactly_the_slots_size_fits(rig: Rig) -> None:
    content = random_bytes(8 * MIB, seed=4)
    rig.payload().download([Image(content)])
    assert rig.target() == content


@pytest.mark.parametrize("files", [[], [Image(b"")]], ids=["no image", "an empty image"])
def test_without_an_image_nothing_happens(rig: Rig, files: list[Image]) -> None:
    with pytest.raises(UnsuitableError):
        rig.payload().download(files)
    assert rig.is_untouched()
    assert rig.boot.calls == []


def test_when_nobody_knows_what_runs_nothing_happens(rig: Rig) -> None:
    def unknown() -> SlotName:
        raise SlotError("cannot tell which slot runs")

    payload = RootfsPayload(rig.pair, origin=A, running=unknown, boot=rig.boot, note=rig.note)
    with pytest.raises(SlotError, match="cannot tell"):
        payload.download([Image(CONTENT)])
    assert rig.is_untouched()
    assert rig.boot.calls == []


def test_the_slot_that_runs_is_never_written(rig: Rig) -> None:
    rig.runs = B
    with pytest.raises(SlotError, match="the update began in slot a, now b runs"):
        rig.payload().download([Image(CONTENT)])
    assert rig.is_untouched()
    assert rig.boot.calls == []


def test_a_missing_canary_stops_before_anything_else_is_done(tmp_path: Path) -> None:
    rig = Rig(tmp_path, CanaryBoot(refuse=True))
    with pytest.raises(BootError, match="mark is missing"):
        rig.payload().download([Image(CONTENT)])
    assert rig.is_untouched()
    assert rig.boot.calls == ["canary"]


def test_a_canary_that_sings_is_asked_first(tmp_path: Path) -> None:
    rig = Rig(tmp_path, CanaryBoot())
    rig.payload().download([Image(CONTENT)])
    assert rig.boot.calls == ["canary", "forbid b"]


def test_a_boot_loader_that_cannot_be_told_keeps_the_target_from_being_written(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FakeBoot(refuse=True))
    with pytest.raises(BootError, match="locked"):
        rig.payload().download([Image(CONTENT)])
    assert rig.is_untouched()


@pytest.fixture
def device(rig: Rig) -> Iterator[Path]:
    """Give the target as a block device."""
    yield from loop_device(rig.pair.slot(B).device)


def on_device(rig: Rig, device: Path) -> RootfsPayload:
    pair = SlotPair(a=rig.pair.a, b=Slot(name=B, device=device))
    return RootfsPayload(pair, origin=A, running=lambda: A, boot=rig.boot, note=rig.note)


def test_a_slot_in_use_is_neither_forbidden_nor_written(rig: Rig, device: Path) -> None:
    user = os.open(device, os.O_RDONLY | os.O_EXCL)  # as device-mapper, md and mounts do
    try:
        with pytest.raises(SlotError, match="busy"):
            on_device(rig, device).download([Image(CONTENT)])
        assert rig.boot.calls == []
        assert rig.is_untouched()
    finally:
        os.close(user)


def test_somebody_who_only_reads_the_device_does_not_matter(rig: Rig, device: Path) -> None:
    with device.open("rb") as reader:
        assert reader.read() == random_bytes(8 * MIB, seed=1)
        on_device(rig, device).download([Image(CONTENT)])
    on_device(rig, device).arm()
    assert device.read_bytes()[: len(CONTENT)] == CONTENT


# --- what leaves the target forbidden


def fails(rig: Rig, files: Iterable[ImageFile], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        rig.payload().download(files)
    assert rig.boot.calls == ["forbid b"]
    assert rig.boot.forbidden == {B}
    assert not rig.note.exists()
    for step in (rig.payload().install, rig.payload().arm):
        with pytest.raises(SlotError, match="no verified image"):
            step()
    assert rig.boot.forbidden == {B}


def test_a_wrong_digest(rig: Rig) -> None:
    fails(rig, [Image(CONTENT, digest="0" * 64)], RejectedError, "has not the SHA-256 of the manifest")


def test_a_second_file(rig: Rig) -> None:
    fails(rig, [Image(CONTENT, name="one"), Image(b"x")], UnsuitableError, "more files than one")


def test_a_stream_that_breaks(rig: Rig) -> None:
    class Broken(Image):
        def unhashed_chunks(self) -> Iterator[bytes]:
            yield CONTENT[: 2 * MIB]
            raise RejectedError("cannot read artifact: cut off")

    fails(rig, [Broken(CONTENT)], RejectedError, "cut off")


def test_an_image_that_is_shorter_than_it_claims(rig: Rig) -> None:
    image = Image(CONTENT)
    image.size += 1
    fails(rig, [image], SlotError, "ended after")


@pytest.mark.parametrize("at", [0, MIB])
def test_a_slot_that_does_not_keep_what_was_written(rig: Rig, at: int) -> None:
    class Spoiling(Image):
        def unhashed_chunks(self) -> Iterator[bytes]:
            yield CONTENT[:-1]
            rig.change_target(at)
            yield CONTENT[-1:]

    fails(rig, [Spoiling(CONTENT)], RejectedError, "has not the SHA-256 of the manifest")


def test_a_slot_that_gives_back_different_bytes_each_time(rig: Rig) -> None:
    def after_the_first_look(done: int, total: int | None) -> None:
        looked.append(done)
        if len(looked) > 1 and looked[-2:] == [len(CONTENT)] * 2:
            rig.change_target(0)

    looked: list[int] = []
    payload = RootfsPayload(
        rig.pair, origin=A, running=lambda: A, boot=rig.boot, note=rig.note, on_progress=after_the_first_look
    )
    with pytest.raises(SlotError, match="does not give back the same bytes twice"):
        payload.download([Image(CONTENT, digest="0" * 64)])
    assert not rig.note.exists()


def test_somebody_who_says_no_while_it_is_written(rig: Rig) -> None:
    def stop(done: int, total: int | None) -> None:
        if done >= MIB:
            raise AbortedError("cannot go on: somebody said no")

    with pytest.raises(AbortedError):
        rig.payload().__class__(
            rig.pair, origin=A, running=lambda: A, boot=rig.boot, note=rig.note, on_progress=stop
        ).download([Image(CONTENT)])
    assert rig.boot.forbidden == {B}
    assert not rig.note.exists()


def test_a_failed_download_takes_the_proof_of_an_earlier_one_away(rig: Rig) -> None:
    rig.payload().download([Image(CONTENT)])
    with pytest.raises(RejectedError):
        rig.payload().download([Image(CONTENT, digest="0" * 64)])
    with pytest.raises(SlotError, match="no verified image"):
        rig.payload().arm()


# --- between the steps


@pytest.mark.parametrize("step", [RootfsPayload.install, RootfsPayload.arm])
@pytest.mark.parametrize("at", [1024 + 44, len(CONTENT) - 7])
def test_a_target_that_was_changed_since_is_not_booted(
    rig: Rig, step: Callable[[RootfsPayload], None], at: int
) -> None:
    rig.payload().download([Image(CONTENT)])
    rig.change_target(at)
    with pytest.raises(SlotError, match="not what was verified any more"):
        step(rig.payload())
    assert rig.boot.calls == ["forbid b"]


def test_a_damaged_note_is_no_proof(rig: Rig) -> None:
    rig.payload().download([Image(CONTENT)])
    rig.note.write_bytes(b'{"slot": "b"}')
    with pytest.raises(StoreError, match="damaged"):
        rig.payload().arm()
    rig.payload().download([Image(CONTENT)])
    rig.payload().arm()


def test_the_note_of_another_slot_is_no_proof(rig: Rig) -> None:
    rig.payload().download([Image(CONTENT)])
    rig.runs = B
    with pytest.raises(SlotError, match="no verified image"):
        RootfsPayload(rig.pair, origin=B, running=lambda: B, boot=rig.boot, note=rig.note).install()


@pytest.mark.parametrize("step", [RootfsPayload.verify_reboot, RootfsPayload.rearm, RootfsPayload.commit])
def test_what_does_not_run_is_not_committed(rig: Rig, step: Callable[[RootfsPayload], None]) -> None:
    rig.payload().download([Image(CONTENT)])
    rig.payload().arm()
    calls = list(rig.boot.calls)
    with pytest.raises(NotBootedError, match="slot b should run, but a does"):
        step(rig.payload())
    assert rig.boot.calls == calls


def test_a_trial_gets_its_tries_again_where_that_can_be_done(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    can, cannot = Rig(tmp_path / "one", RearmingBoot()), Rig(tmp_path / "two")
    can.runs = cannot.runs = B
    can.payload().rearm()
    cannot.payload().rearm()
    assert can.boot.calls == ["rearm b"]
    assert cannot.boot.calls == []
