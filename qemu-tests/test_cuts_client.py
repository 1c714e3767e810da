"""What the client would say is told from its data partition, and whether that is true."""

from dataclasses import replace
from pathlib import Path

import pytest

import cut_world
from bistable.client.deployment.suit import NAME
from bistable.client.machine import Mark, Record, State, encode_record
from bistable.client.model import Mode, SlotName
from bistable.client.store import Store
from bistable.qemu.clientview import ClientView, view
from bistable.qemu.truth import Running, lies

pytestmark = cut_world.NEEDS_TOOLS

RECORD = Record(
    id="1",
    mode=Mode.STANDALONE,
    state=State.REBOOT,
    mark=Mark.STARTED,
    where="/update.bst",
    boot_id="one",
    install_boot_id="one",
    origin=SlotName("a"),
    target=SlotName("b"),
)


def filled(store: Store) -> None:
    store.replace_provides({NAME: "release-1"})
    store.save_record(encode_record(RECORD))


@pytest.fixture(scope="module")
def data() -> bytes:
    return cut_world.make_data(filled)


def seen(folder: Path, data: bytes) -> ClientView:
    (folder / "data.img").write_bytes(data)
    return view(folder / "data.img", "bistable")


def test_the_client_s_memory_is_read_from_the_partition(data: bytes, tmp_path: Path) -> None:
    found = seen(tmp_path, data)
    assert (found.trouble, found.artifact, found.record) == ((), "release-1", RECORD)


def test_a_partition_without_a_store_has_nothing_to_say(tmp_path: Path) -> None:
    assert seen(tmp_path, cut_world.make_data(None)) == ClientView()


def test_a_store_that_is_damaged_is_told_of(data: bytes, tmp_path: Path) -> None:
    at = data.index(b"SQLite format 3\0")
    found = seen(tmp_path, data[:at] + b"\xff" * 4096 + data[at + 4096 :])
    assert found.trouble
    assert found.trouble[0].startswith("client: ")


def test_a_file_system_that_only_a_repair_makes_whole_is_told_of(data: bytes, tmp_path: Path) -> None:
    # A group's bitmap of blocks says that all are free.
    damaged = bytearray(data)
    damaged[1024 + 0x64 + 4] ^= 0xFF
    found = seen(tmp_path, bytes(damaged))
    assert found.trouble
    assert found.trouble[0].startswith("data: ")


OLD, NEW, TRIAL = (
    Running(slot="a", artifact="release-1", good=True),
    Running(slot="b", artifact="release-2", good=True),
    Running(slot="b", artifact="release-2", good=False),
)


def at(state: State, **what: object) -> Record:
    return replace(RECORD, state=state, mark=Mark.FRESH, **what)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "artifact", "running"),
    [
        (None, "release-1", OLD),
        (None, "release-2", NEW),
        (RECORD, "release-1", TRIAL),
        (RECORD, "release-1", OLD),
        (at(State.DOWNLOAD), "release-1", OLD),
        (at(State.REBOOT), "release-1", TRIAL),
        (at(State.CHECK), "release-1", OLD),
        (at(State.COMMIT), "release-1", NEW),
        (at(State.AFTER_COMMIT, committed=True), "release-2", NEW),
        (at(State.CLEANUP, committed=True), "release-2", NEW),
        (at(State.FAILURE, rolled_back=True), "release-1", OLD),
        (at(State.CLEANUP), "release-1", OLD),
    ],
)
def test_the_truth_is_taken_as_such(record: Record | None, artifact: str, running: Running) -> None:
    assert not list(lies(ClientView(record=record, artifact=artifact), running))


@pytest.mark.parametrize(
    ("record", "artifact", "running", "words"),
    [
        (None, "release-2", OLD, "but release-1 runs"),
        (None, "release-1", NEW, "but release-2 runs"),
        (None, "release-2", TRIAL, "runs on trial"),
        (at(State.INSTALL), "release-1", TRIAL, "did not reboot yet"),
        (at(State.AFTER_COMMIT, committed=True), "release-2", OLD, "not what was committed"),
        (at(State.CLEANUP, committed=True), "release-2", TRIAL, "which was committed"),
        (at(State.CLEANUP), "release-1", NEW, "did not reboot yet"),
    ],
)
def test_what_is_not_true_is_told(record: Record | None, artifact: str, running: Running, words: str) -> None:
    assert any(words in lie for lie in lies(ClientView(record=record, artifact=artifact), running))
