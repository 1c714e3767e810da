"""The store under power cuts: what SQLite writes is recorded, and cut off everywhere, as a disk with a cache may do it.

What was written to a file since its last sync may have arrived, or not, or in part, sector by sector, in any order.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from bistable.client.store import FILE_NAME, Ended, Store, put_aside
from bistable.client.store.schema import migrate

SECTOR = 512
JOURNAL = f"{FILE_NAME}-journal"
VARIANTS = 6
"""Random fates of what was not synced, for each place of the cut, besides all of it and none of it."""

ENDED = Ended(id="one", artifact="release-2", result="success", error=None, where="there", began=1.0, ended=2.0)


@dataclass(frozen=True)
class Op:
    """A write, or with data None a change of size; `sync` ends what may be lost; `delete` removes the name."""

    file: str
    kind: str
    offset: int = 0
    data: bytes = b""


@dataclass
class Log:
    ops: list[Op] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    """How many operations there were when each step had returned."""


class Disk(apsw.VFS):
    """The ordinary disk, with a log."""

    def __init__(self, log: Log) -> None:
        self.log = log
        super().__init__("recording", "")

    def xOpen(self, name: Any, flags: list[int]) -> "RecordedFile":
        return RecordedFile(name, flags, self.log)

    def xDelete(self, name: str, sync: bool) -> None:
        self.log.ops.append(Op(Path(name).name, "delete"))
        super().xDelete(name, sync)


class RecordedFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], log: Log) -> None:
        self.log = log
        self.name = Path(name if isinstance(name, str) else name.filename()).name
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self.log.ops.append(Op(self.name, "write", offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self.log.ops.append(Op(self.name, "truncate", size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self.log.ops.append(Op(self.name, "sync"))
        super().xSync(flags)


def commit(store: Store) -> None:
    store.replace_provides({"artifact_name": "release-2"})
    store.save_record("after-commit")


def end(store: Store) -> None:
    store.add_history(ENDED)
    store.remove_record()


STEPS: list[Callable[[Store], None]] = [
    lambda store: store.replace_provides({"artifact_name": "release-1", "kept": "yes"}),
    lambda store: store.save_record("download"),
    lambda store: store.save_record("commit " + "x" * 5000),
    commit,
    end,
    lambda store: store.keep_value("settled", "1"),
]


def recorded(directory: Path) -> tuple[Log, list[Any]]:
    """Run our statements, and return the log and what the store held after each step."""
    log = Log()
    disk = Disk(log)
    connection = apsw.Connection(str(directory / FILE_NAME), vfs="recording")
    # As Store.open has them; a test below looks whether it still has.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    migrate(connection)  # type: ignore[arg-type]
    store = Store(connection, directory / FILE_NAME)  # type: ignore[arg-type]
    states: list[Any] = [(None, {}, [], None)]
    log.done.append(len(log.ops))
    for step in STEPS:
        with store.transaction():
            step(store)
        states.append(content(store))
        log.done.append(len(log.ops))
    store.close()
    disk.unregister()
    return log, states


def content(store: Store) -> Any:
    return store.record(), store.provides(), [ended.id for ended in store.history()], store.value("settled")


# --- the disk after a cut


@dataclass
class Cached:
    """A file: what is safe, and what is not yet."""

    safe: bytes | None = None
    pending: list[Op] = field(default_factory=list)

    def take(self, op: Op) -> None:
        if op.kind == "sync":
            self.safe = applied(self.safe, self.pending)
            self.pending = []
        elif op.kind == "delete":
            self.safe, self.pending = None, []
        else:
            self.pending.append(op)


def applied(content: bytes | None, ops: list[Op]) -> bytes:
    data = bytearray(content or b"")
    for op in ops:
        if op.kind == "truncate":
            del data[op.offset :]
            data.extend(bytes(op.offset - len(data)))
            continue
        data.extend(bytes(max(0, op.offset + len(op.data) - len(data))))
        data[op.offset : op.offset + len(op.data)] = op.data
    return bytes(data)


def sectors(op: Op) -> Iterator[Op]:
    if op.kind != "write":
        yield op
        return
    start = 0
    while start < len(op.data):
        end = min(len(op.data), start + SECTOR - (op.offset + start) % SECTOR)
        yield Op(op.file, "write", op.offset + start, op.data[start:end])
        start = end


def fates(pending: list[Op], fate: random.Random) -> Iterator[list[Op]]:
    """Yield what may have become of operations that were not synced."""
    yield []
    if not pending:
        return
    yield pending
    pieces = [piece for op in pending for piece in sectors(op)]
    for _ in range(VARIANTS):
        arrived = [piece for piece in pieces if fate.random() < fate.choice((0.2, 0.5, 0.9))]
        if fate.random() < 0.5:
            fate.shuffle(arrived)
        yield arrived


def disks(ops: list[Op], fate: random.Random) -> Iterator[dict[str, bytes | None]]:
    """Yield what the files may hold after the power went when these were the last operations."""
    files: dict[str, Cached] = {FILE_NAME: Cached(), JOURNAL: Cached()}
    for op in ops:
        files[op.file].take(op)
    for main in fates(files[FILE_NAME].pending, fate):
        for journal in fates(files[JOURNAL].pending, fate):
            yield {
                FILE_NAME: _after(files[FILE_NAME], main),
                JOURNAL: _after(files[JOURNAL], journal),
            }


def _after(file: Cached, arrived: list[Op]) -> bytes | None:
    return None if file.safe is None and not arrived else applied(file.safe, arrived)


def put(directory: Path, files: dict[str, bytes | None]) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, data in files.items():
        if data is not None:
            (directory / name).write_bytes(data)
    return directory


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, list[Any]]:
    return recorded(tmp_path_factory.mktemp("recorded"))


def test_the_log_holds_what_a_transaction_writes(log: tuple[Log, list[Any]]) -> None:
    ops, done = log[0].ops, log[0].done
    begin, end = done[3], done[4]
    kinds = [(op.file, op.kind) for op in ops[begin:end]]
    first_of_file = kinds.index((FILE_NAME, "write"))
    assert (JOURNAL, "sync") in kinds[:first_of_file]
    assert kinds.index((FILE_NAME, "sync")) < kinds.index((JOURNAL, "truncate"))
    assert kinds[-1] == (JOURNAL, "sync"), "the commit itself is not synced"


def test_the_store_is_opened_with_what_the_recording_uses(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        rows = [store._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
    assert rows == [2, "truncate"]


def test_wherever_the_power_goes_the_store_holds_one_whole_step(log: tuple[Log, list[Any]], tmp_path: Path) -> None:
    """The old step or the new one, record and provides always of the same, and never an error."""
    recording, states = log
    fate = random.Random(7)
    seen = set()
    for length in range(len(recording.ops) + 1):
        finished = sum(done <= length for done in recording.done)
        allowed = states[max(0, finished - 1) : finished + 1]
        for files in disks(recording.ops[:length], fate):
            with Store.open(put(tmp_path / "store", files)) as store:
                found = content(store)
            assert found in allowed, f"cut after {length} of {len(recording.ops)}: {recording.ops[length - 1 :][:1]}"
            seen.add(states.index(found))
    assert seen == set(range(len(states)))


def test_looking_after_a_power_cut_sees_one_whole_step(log: tuple[Log, list[Any]], tmp_path: Path) -> None:
    recording, states = log
    fate = random.Random(8)
    for length in range(recording.done[3], recording.done[4] + 1):
        for files in disks(recording.ops[:length], fate):
            store = Store.open_for_reading(put(tmp_path / "store", files))
            assert store is not None
            with store:
                assert content(store) in states[3:5]


def test_a_journal_whose_file_was_put_aside_is_not_played_into_the_next(
    log: tuple[Log, list[Any]], tmp_path: Path
) -> None:
    """The power may go between the two renames."""
    recording, _ = log
    first = next(at for at in range(recording.done[3], len(recording.ops)) if recording.ops[at].file == FILE_NAME)
    *_, files = disks(recording.ops[:first], random.Random(9))
    hot = files[JOURNAL]
    assert hot
    put(tmp_path / "store", {JOURNAL: hot, FILE_NAME: None})
    with Store.open(tmp_path / "store") as store:
        assert content(store) == (None, {}, [], None)


def test_a_store_that_is_put_aside_takes_its_journal_along(log: tuple[Log, list[Any]], tmp_path: Path) -> None:
    directory = put(tmp_path / "store", {FILE_NAME: b"damaged", JOURNAL: b"journal"})
    aside = put_aside(directory)
    assert aside.read_bytes() == b"damaged"
    assert aside.with_name(f"{aside.name}-journal").read_bytes() == b"journal"
    assert not (directory / JOURNAL).exists()
