"""The checker tells from a disk what would boot, and finds every kind of damage that a power cut must not leave."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import cut_world
from bistable.artifact.errors import RequestError
from bistable.client.deployment.suit import NAME
from bistable.client.machine import Mark, Record, State, encode_record
from bistable.client.model import Mode, SlotName
from bistable.client.store import Store
from bistable.qemu.checker import Checker, Kind, Verdict
from bistable.qemu.gpt import read_gpt
from bistable.qemu.picture import Picture
from cut_world import BROKEN, MIB, NEW, OLD, PLACES, PLAN, environment

pytestmark = cut_world.NEEDS_TOOLS


def settled(store: Store) -> None:
    store.replace_provides({NAME: "release-1"})


def in_trial(store: Store) -> None:
    settled(store)
    store.save_record(
        encode_record(
            Record(
                id="1",
                mode=Mode.STANDALONE,
                state=State.REBOOT,
                mark=Mark.STARTED,
                where="/update",
                boot_id="one",
                install_boot_id="one",
                origin=SlotName("a"),
                target=SlotName("b"),
            )
        )
    )


class Rig:
    """A disk with the old system in slot a, which is good, and the client at rest."""

    def __init__(self, path: Path, checker: Checker) -> None:
        self.picture = Picture(path, checker.regions(cut_world.SIZE))
        self._checker = checker

    def put(self, place: str, data: bytes) -> None:
        self.picture.write(PLACES[place], data)

    def environment(self, order: str, a: str, b: str) -> None:
        """Make the first copy the newest; the second one stays valid."""
        self.put("boot-env", environment(order, a, b, counter=9))

    def check(self) -> Verdict:
        return self._checker.check(self.picture)


@pytest.fixture(scope="module")
def memories() -> dict[str, bytes]:
    return {"settled": cut_world.make_data(settled), "trial": cut_world.make_data(in_trial)}


@pytest.fixture
def rig(tmp_path: Path, memories: dict[str, bytes]) -> Iterator[Rig]:
    path = tmp_path / "disk.img"
    cut_world.make_table(path)
    with path.open("r+b") as file:
        for at, data in (
            (PLACES["boot-env"], environment("a", "good", "0", 1)),
            (PLACES["boot-env"] + 65536, environment("a", "good", "0", 0)),
            (PLACES["rootfs-a"], OLD),
            (PLACES["data"], memories["settled"]),
        ):
            file.seek(at)
            file.write(data)
    disk = path.read_bytes()
    partitions = read_gpt(lambda start, length: disk[start : start + length], len(disk))
    rig = Rig(path, Checker(PLAN, partitions, cut_world.contents(tmp_path)))
    rig.check()
    with rig.picture:
        yield rig


def on_trial(rig: Rig, memories: dict[str, bytes], image: bytes = NEW) -> None:
    rig.put("rootfs-b", image)
    rig.put("data", memories["trial"])
    rig.environment("b a", "good", "3")


def kinds(verdict: Verdict) -> set[Kind]:
    return {finding.kind for finding in verdict.findings}


def test_a_disk_at_rest_is_sound_and_boots_its_good_slot(rig: Rig) -> None:
    verdict = rig.check()
    assert verdict.sound
    assert verdict.path == "a"
    assert verdict.running is not None
    assert verdict.running.artifact == "release-1"


def test_a_trial_that_nobody_commits_uses_up_its_tries_and_goes_back(rig: Rig, memories: dict[str, bytes]) -> None:
    on_trial(rig, memories)
    verdict = rig.check()
    assert (verdict.sound, verdict.path) == (True, "bbba")


def test_a_trial_that_does_not_come_up_leads_back_to_what_ran_before(rig: Rig, memories: dict[str, bytes]) -> None:
    on_trial(rig, memories, BROKEN)
    verdict = rig.check()
    assert (verdict.sound, verdict.path) == (True, "BBBa")
    assert verdict.running is not None
    assert verdict.running.slot == "a"


def test_a_half_written_slot_that_nobody_boots_is_fine(rig: Rig) -> None:
    rig.put("rootfs-b", NEW[: MIB // 2])
    assert rig.check().sound


def test_a_half_written_slot_that_would_boot_is_found(rig: Rig, memories: dict[str, bytes]) -> None:
    on_trial(rig, memories, NEW[: MIB - 512])
    assert Kind.SLOT in kinds(rig.check())


def test_one_changed_byte_in_the_good_slot_is_found(rig: Rig) -> None:
    rig.picture.write(PLACES["rootfs-a"] + 77777, b"x")
    assert Kind.SLOT in kinds(rig.check())


def test_a_broken_system_that_counts_as_good_is_found(rig: Rig) -> None:
    rig.put("rootfs-a", BROKEN)
    assert {Kind.SLOT, Kind.LOADER} <= kinds(rig.check())


def test_a_damaged_copy_of_the_environment_leaves_the_other_to_decide(rig: Rig, memories: dict[str, bytes]) -> None:
    on_trial(rig, memories)
    rig.put("boot-env", b"\0" * 512)
    assert rig.check().path == "a"


def test_an_environment_without_any_valid_copy_is_found(rig: Rig) -> None:
    rig.put("boot-env", b"\0" * 512)
    rig.picture.write(PLACES["boot-env"] + 65536, b"\0" * 512)
    assert "no copy of the environment is valid" in {finding.words for finding in rig.check().findings}


def test_a_damaged_partition_table_is_found_at_either_end(rig: Rig) -> None:
    with rig.picture.tried() as picture:
        picture.write(1024, b"x")
        assert Kind.TABLE in kinds(rig.check())
    with rig.picture.tried() as picture:
        picture.write(cut_world.SIZE - 512, b"x")
        assert Kind.TABLE in kinds(rig.check())
    assert rig.check().sound


def test_a_write_to_the_boot_partition_is_found(rig: Rig) -> None:
    rig.picture.write(MIB + 4096, b"x")
    assert Kind.LOADER in kinds(rig.check())


def test_a_damaged_store_is_found(rig: Rig, memories: dict[str, bytes]) -> None:
    rig.picture.write(PLACES["data"] + memories["settled"].index(b"SQLite format 3\0"), b"\xff" * 4096)
    assert Kind.CLIENT in kinds(rig.check())


def test_a_damaged_file_system_is_found(rig: Rig) -> None:
    rig.picture.write(PLACES["data"] + 1024, b"\xff" * 1024)
    assert Kind.DATA in kinds(rig.check())


def test_a_client_that_takes_the_wrong_system_for_the_running_one_is_found(rig: Rig) -> None:
    rig.put("rootfs-b", NEW)
    rig.environment("b", "0", "good")
    assert kinds(rig.check()) == {Kind.TRUTH}


def test_a_trial_without_an_update_in_progress_is_found(rig: Rig) -> None:
    rig.put("rootfs-b", OLD)
    rig.environment("b a", "good", "3")
    assert kinds(rig.check()) == {Kind.TRUTH}


def test_a_disk_whose_loader_has_no_environment_cannot_be_checked() -> None:
    with pytest.raises(RequestError, match="no environment of its own"):
        Checker(replace(PLAN, environment=None), [], [])
