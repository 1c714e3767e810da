"""The store: what is changed together, what is remembered, and a defined answer to a disk that is full or damaged."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from client_slots import mounting
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.errors import StoreDamagedError, StoreError
from bistable.client.store import CORRUPT_KEPT, FILE_NAME, HISTORY_KEPT, Ended, Store, put_aside
from bistable.client.store.schema import MIGRATIONS, migrate


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as store:
        yield store


def ended(number: int = 1, **changes: object) -> Ended:
    told = {"id": f"{number}", "artifact": "a", "result": "success", "error": None, "where": "w"}
    return Ended(**(told | {"began": 1.5, "ended": 2.5} | changes))  # type: ignore[arg-type]


def fill(store: Store) -> None:
    with store.transaction():
        store.replace_provides({"artifact_name": "release-1", "rootfs-image.version": "1"})
        store.save_record('{"state": "install"}')
        store.keep_value("settled", "1")
        store.add_history(ended(error="no", artifact=None))


def use(store: Store) -> None:
    """Read and write everything there is."""
    store.record(), store.provides(), store.value("settled"), store.history()
    with store.transaction():
        store.replace_provides({"artifact_name": "release-2"})
        store.save_record("x")
        store.add_history(ended())
        store.keep_value("settled", "2")
    store.remove_record()


# --- what it holds


def test_a_new_store_holds_nothing(store: Store) -> None:
    assert (store.record(), store.provides(), store.value("x"), list(store.history())) == (None, {}, None, [])


def test_what_is_kept_is_there_after_opening_it_again(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        fill(store)
    with Store.open(tmp_path) as store:
        assert store.record() == '{"state": "install"}'
        assert store.provides() == {"artifact_name": "release-1", "rootfs-image.version": "1"}
        assert store.value("settled") == "1"
        assert list(store.history()) == [ended(error="no", artifact=None)]


def test_there_is_one_record_and_it_is_replaced_and_removed(store: Store) -> None:
    store.save_record("first")
    store.save_record("second")
    assert store.record() == "second"
    store.remove_record()
    assert store.record() is None
    store.remove_record()


def test_provides_are_replaced_as_a_whole(store: Store) -> None:
    store.replace_provides({"a": "1", "b": "2"})
    store.replace_provides({"b": "3"})
    assert store.provides() == {"b": "3"}


def test_the_latest_update_is_the_first_in_the_history(store: Store) -> None:
    for number in range(3):
        store.add_history(ended(number))
    assert [one.id for one in store.history()] == ["2", "1", "0"]


def test_the_history_forgets_the_oldest(store: Store) -> None:
    with store.transaction():
        for number in range(HISTORY_KEPT + 20):
            store.add_history(ended(number))
    assert [one.id for one in store.history()] == [str(number) for number in range(HISTORY_KEPT + 19, 19, -1)]
    assert store._connection.execute("SELECT count(*) FROM history").fetchone() == (HISTORY_KEPT,)


def test_a_clock_that_stands_at_1970_is_no_problem(store: Store) -> None:
    store.add_history(ended(began=0.0, ended=-1.0))
    assert list(store.history()) == [ended(began=0.0, ended=-1.0)]


# --- transactions


def test_a_transaction_that_fails_changes_nothing(store: Store) -> None:
    fill(store)
    with suppress(KeyboardInterrupt), store.transaction():
        store.save_record("other")
        store.replace_provides({"x": "y"})
        store.add_history(ended(9))
        raise KeyboardInterrupt
    assert store.record() == '{"state": "install"}'
    assert "x" not in store.provides()
    assert [one.id for one in store.history()] == ["1"]


def test_the_store_can_be_used_after_a_transaction_that_failed(store: Store) -> None:
    with suppress(ValueError), store.transaction():
        raise ValueError
    with store.transaction():
        store.save_record("one")
    assert store.record() == "one"


def test_another_process_does_not_see_half_a_transaction(store: Store, tmp_path: Path) -> None:
    fill(store)
    other = Store.open_for_reading(tmp_path)
    assert other is not None
    with other, store.transaction():
        store.save_record("other")
        assert other.record() == '{"state": "install"}'


# --- looking only


def test_looking_where_there_is_no_store_makes_none(tmp_path: Path) -> None:
    assert Store.open_for_reading(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_who_looks_cannot_change_anything(store: Store, tmp_path: Path) -> None:
    fill(store)
    reader = Store.open_for_reading(tmp_path)
    assert reader is not None
    with reader, pytest.raises(StoreError, match=r"cannot write the store .*readonly"):
        reader.save_record("x")


# --- other versions, other programs


def test_an_older_client_uses_the_file_of_a_newer_one_and_leaves_alone_what_it_does_not_know(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        fill(store)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as newer:
        newer.executescript("""
            PRAGMA user_version = 7;
            ALTER TABLE record ADD COLUMN more TEXT;
            ALTER TABLE provides ADD COLUMN since REAL DEFAULT 0;
            ALTER TABLE history ADD COLUMN more TEXT;
            CREATE TABLE maps (id TEXT PRIMARY KEY, text TEXT NOT NULL);
            CREATE INDEX by_result ON history (result);
            INSERT INTO maps VALUES ('m', 'kept');
        """)
    with Store.open(tmp_path) as store:
        assert store.record() == '{"state": "install"}'
        use(store)
        assert [one.id for one in store.history()] == ["1", "1"]
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (7,)
        assert newer.execute("SELECT * FROM maps").fetchall() == [("m", "kept")]


def test_two_processes_that_make_the_store_at_once_both_get_it(tmp_path: Path) -> None:
    class Late:
        """A process that is overtaken between its look and its turn."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self.connection = connection

        def execute(self, sql: str) -> sqlite3.Cursor:
            if sql == "BEGIN IMMEDIATE":
                with Store.open(tmp_path) as other:
                    other.save_record("of the other")
            return self.connection.execute(sql)

    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as connection:
        migrate(Late(connection))  # type: ignore[arg-type]
    with Store.open(tmp_path) as store:
        assert store.record() == "of the other"


def test_a_migration_only_ever_adds() -> None:
    words = [statement.split()[:2] for statements in MIGRATIONS for statement in statements]
    assert all(first in {"CREATE", "ALTER"} for first, _ in words)


@pytest.mark.parametrize("version", [0, -1])
def test_a_database_of_something_else_is_not_touched(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("CREATE TABLE pictures (name TEXT)")
        other.execute(f"PRAGMA user_version = {version}")
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StoreError, match="cannot use the store"):
        Store.open(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_database_of_something_else_with_a_version_is_an_error_when_it_is_used(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("CREATE TABLE pictures (name TEXT)")
        other.execute("PRAGMA user_version = 3")
    with Store.open(tmp_path) as store, pytest.raises(StoreError, match="no such table: record"):
        store.record()


# --- damage


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be one" * 50, b"SQLite format 3\0"])
def test_a_file_that_is_no_database_is_an_error_with_a_hint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(StoreDamagedError, match="cannot open the store") as caught:
        Store.open(tmp_path)
    assert caught.value.hint == "the file is damaged: bistablectl doctor says how to go on"


def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    assert Store.open_for_reading(tmp_path) is None
    with Store.open(tmp_path) as store:
        assert store.record() is None


@given(
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=12),
    st.none() | st.integers(0, 1 << 20),
)
def test_a_damaged_file_is_read_or_a_store_error(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]], cut: int | None
) -> None:
    directory = tmp_path_factory.mktemp("damaged", numbered=True)
    whole = bytearray(whole_file(tmp_path_factory))
    for at, value in flips:
        whole[at % len(whole)] = value
    if cut is not None:
        del whole[cut % len(whole) :]
    (directory / FILE_NAME).write_bytes(whole)
    for opened in (Store.open_for_reading, Store.open):
        with suppress(StoreError):
            if (found := opened(directory)) is None:
                assert not whole
                continue
            with found as store:
                check_types(store)
                if opened == Store.open:
                    use(store)


_WHOLE: list[bytes] = []


def whole_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    if not _WHOLE:
        directory = tmp_path_factory.mktemp("whole")
        with Store.open(directory) as store:
            fill(store)
        _WHOLE.append((directory / FILE_NAME).read_bytes())
    return _WHOLE[0]


def test_an_error_that_quotes_damage_is_a_store_error(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        fill(store)
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole.replace(b"CREATE TABLE record", b"CREATE \xff\xfeBLE record"))
    with pytest.raises(StoreDamagedError, match=r"cannot open the store .*: its file is damaged"):
        Store.open(tmp_path)


def check_types(store: Store) -> None:
    record, value = store.record(), store.value("settled")
    assert isinstance(record, str | None)
    assert isinstance(value, str | None)
    assert all(isinstance(word, str) for item in store.provides().items() for word in item)
    for one in store.history():
        assert isinstance(one.began, float)
        assert isinstance(one.error, str | None)


@pytest.mark.parametrize(
    ("sql", "look"),
    [
        ("UPDATE record SET text = x'00ff'", Store.record),
        ("UPDATE provides SET value = x'00ff'", Store.provides),
        ("UPDATE kept SET value = x'00ff'", lambda store: store.value("settled")),
        ("UPDATE history SET began = x'00ff'", Store.history),
        ("UPDATE history SET error = x'00ff'", Store.history),
        ("UPDATE record SET text = CAST(x'ff' AS TEXT)", Store.record),
    ],
)
def test_a_value_of_the_wrong_kind_is_damage(store: Store, sql: str, look: Callable[[Store], object]) -> None:
    fill(store)
    store._connection.execute(sql)
    with pytest.raises(StoreError, match="cannot read the store"):
        look(store)


# --- putting it aside


def test_a_store_that_is_put_aside_makes_room_for_a_new_one(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        fill(store)
    aside = put_aside(tmp_path)
    assert aside.name == f"{FILE_NAME}.corrupt-001"
    with Store.open(tmp_path) as store:
        assert store.record() is None
    with closing(sqlite3.connect(aside)) as old:
        assert old.execute("SELECT text FROM record").fetchone() == ('{"state": "install"}',)


def test_of_those_put_aside_the_latest_are_kept_with_their_journals(tmp_path: Path) -> None:
    for number in range(1, 7):
        (tmp_path / FILE_NAME).write_text(str(number))
        (tmp_path / f"{FILE_NAME}-journal").write_text(str(number))
        put_aside(tmp_path)
    kept = [f"{FILE_NAME}.corrupt-{number:03}" for number in range(7 - CORRUPT_KEPT, 7)]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*kept, *(f"{name}-journal" for name in kept)])
    assert [(tmp_path / name).read_text() for name in kept] == ["4", "5", "6"]


def test_numbers_go_on_past_three_digits(tmp_path: Path) -> None:
    for number in (998, 999, 1000):
        (tmp_path / f"{FILE_NAME}.corrupt-{number}").touch()
    (tmp_path / FILE_NAME).touch()
    assert put_aside(tmp_path).name == f"{FILE_NAME}.corrupt-1001"
    assert not (tmp_path / f"{FILE_NAME}.corrupt-998").exists()


def test_what_is_not_there_cannot_be_put_aside(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot put aside the store"):
        put_aside(tmp_path)


# --- disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place = tmp_path / "disk"
    place.mkdir()
    unmount = mounting("-t", "tmpfs", "-o", "size=256k", "none", place)
    try:
        yield place
    finally:
        unmount()


def fill_up(store: Store) -> None:
    store.save_record("x" * 100_000)
    store.replace_provides({})


def test_on_a_full_disk_nothing_is_changed_and_the_error_says_what_to_do(disk: Path) -> None:
    with Store.open(disk) as store:
        fill(store)
        with suppress(OSError):
            (disk / "ballast").write_bytes(bytes(1 << 20))
        with pytest.raises(StoreError, match="cannot write the store") as caught, store.transaction():
            fill_up(store)
        assert caught.value.hint == "make room on the data partition"
        assert store.record() == '{"state": "install"}'
        with pytest.raises(StoreError):
            store.save_record("x" * 100_000)
        assert store.provides()
        (disk / "ballast").unlink()
        store.save_record("x" * 100_000)
    with Store.open(disk) as store:
        assert store.record() == "x" * 100_000


def test_on_a_full_disk_a_new_store_is_an_error(disk: Path) -> None:
    with suppress(OSError):
        (disk / "ballast").write_bytes(bytes(1 << 20))
    with pytest.raises(StoreError):
        Store.open(disk)
    (disk / "ballast").unlink()
    with Store.open(disk) as store:
        assert store.record() is None


def test_a_read_only_disk_can_be_looked_at(disk: Path) -> None:
    with Store.open(disk) as store:
        fill(store)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, timeout=60)
    reader = Store.open_for_reading(disk)
    assert reader is not None
    with reader:
        assert reader.record() == '{"state": "install"}'
    with suppress(StoreError), Store.open(disk) as store:
        with pytest.raises(StoreError, match="readonly") as caught:
            store.save_record("x")
        assert caught.value.hint == "is the data partition mounted, writable, and are you root?"


def test_on_a_read_only_disk_a_new_store_is_an_error(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, timeout=60)
    with pytest.raises(StoreError, match="cannot open the store"):
        Store.open(disk / "below")
    with pytest.raises(StoreError, match="cannot open the store"):
        Store.open(disk)
    with pytest.raises(StoreError, match="cannot put aside the store"):
        put_aside(disk)


def test_where_a_directory_should_be_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot open the store"):
        Store.open(tmp_path / "file")
