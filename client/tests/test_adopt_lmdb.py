"""The reader of the Mender client's store: it reads what LMDB writes, and refuses everything else in good time."""

import random
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from client_lmdb import PAGE, Forge
from hypothesis import example, given
from hypothesis import strategies as st

from bistable.client.adopt import lmdb as reader
from bistable.client.adopt.lmdb import parse_store, read_store
from bistable.client.errors import StoreError

LAYOUTS = [Forge(order=order, word=word) for order in "<>" for word in "QI"]
VALUES = {"artifact-name": b"release-1", "artifact-provides": b"{}", "state": b"x" * 9000, "empty": b""}
MANY = {f"key-{n:04}": bytes([n % 256]) * (n % 3000) for n in range(300)}


def parse(data: bytes) -> dict[str, bytes]:
    return parse_store(data, name="store")


@pytest.mark.parametrize("forge", LAYOUTS, ids=str)
@pytest.mark.parametrize("values", [{}, {"artifact-name": b"x"}, VALUES])
def test_values_are_read_whatever_machine_wrote_them(forge: Forge, values: dict[str, bytes]) -> None:
    assert parse(forge.store(values)) == values


@pytest.mark.parametrize("forge", LAYOUTS, ids=str)
def test_a_value_may_be_far_larger_than_a_page(forge: Forge) -> None:
    values = {"artifact-provides": bytes(range(256)) * 800, "state": b"x"}
    assert parse(forge.store(values)) == values


@pytest.mark.parametrize("word", "QI")
def test_a_tree_of_many_pages_is_read(word: str) -> None:
    assert parse(Forge(word=word, per_page=3).store(MANY)) == MANY


@pytest.mark.parametrize("size", [256, 1024, 8192, 32768])
def test_pages_have_the_size_that_the_file_says(size: int) -> None:
    assert parse(Forge(page_size=size, per_page=2).store(VALUES)) == VALUES


def test_the_newer_of_two_heads_counts() -> None:
    data = Forge().store(VALUES)
    older, newer, rest = data[:PAGE], data[PAGE : 2 * PAGE], data[2 * PAGE :]
    assert parse(older + newer + rest) == VALUES
    last = len(data) // PAGE - 1
    assert parse(Forge().head(0, transaction=4, last=last) + newer + rest) == {}


@pytest.mark.parametrize("size", [256, 4096, 32768])
@pytest.mark.parametrize("torn", [0, 1])
def test_a_head_that_a_power_cut_tore_does_not_count(torn: int, size: int) -> None:
    assert parse(Forge(page_size=size).store(VALUES, torn=torn)) == ({} if torn == 1 else VALUES)


def test_what_lmdb_wrote_is_read(tmp_path: Path) -> None:
    lmdb: Any = pytest.importorskip("lmdb", reason="the library lmdb is not installed")
    environment = lmdb.open(str(tmp_path / "store"), subdir=False, map_size=16 << 20)
    chance, expected = random.Random(1), {}
    for _ in range(5):
        with environment.begin(write=True) as transaction:
            for n in chance.sample(range(3000), 900):
                key, value = f"key-{n:04}", chance.randbytes(chance.choice([0, 7, 300, 1900, 5000]))
                expected[key] = value
                transaction.put(key.encode(), value)
            for key in chance.sample(sorted(expected), 200):
                del expected[key]
                transaction.delete(key.encode())
    environment.close()
    assert read_store(tmp_path / "store") == dict(sorted(expected.items()))


@pytest.mark.parametrize("per_page", [3, 1000])
def test_lmdb_reads_what_these_tests_make(tmp_path: Path, per_page: int) -> None:
    lmdb: Any = pytest.importorskip("lmdb", reason="the library lmdb is not installed")
    values = MANY if per_page == 3 else VALUES
    (tmp_path / "store").write_bytes(Forge(per_page=per_page).store(values))
    with lmdb.open(str(tmp_path / "store"), subdir=False, readonly=True) as environment, environment.begin() as reading:
        assert {key.decode(): value for key, value in reading.cursor()} == values


@pytest.mark.parametrize("kind", ["sub-database", "duplicates"])
def test_trees_that_the_mender_client_does_not_make_are_refused(tmp_path: Path, kind: str) -> None:
    lmdb: Any = pytest.importorskip("lmdb", reason="the library lmdb is not installed")
    environment = lmdb.open(str(tmp_path / "store"), subdir=False, max_dbs=1)
    inner = environment.open_db(b"inner", dupsort=kind == "duplicates")
    with environment.begin(write=True) as transaction:
        transaction.put(b"a", b"1", db=inner)
        transaction.put(b"a", b"2", db=inner)
    environment.close()
    with pytest.raises(StoreError, match="does not make"):
        read_store(tmp_path / "store")


# --- what is no store


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b"SQLite format 3\0" + bytes(4096), "it is not an LMDB file"),
        (bytes(3 * PAGE), "it is not an LMDB file"),
        (Forge().head(0, transaction=1, last=1, version=2) * 2, "format version 2"),
        (Forge().head(0, transaction=1, last=1, flags=4) * 2, "of a kind"),
    ],
)
def test_what_is_no_store_of_a_mender_client_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(StoreError, match=why):
        parse(data)


@pytest.mark.parametrize("forge", LAYOUTS, ids=str)
def test_a_store_that_is_cut_off_is_refused(forge: Forge) -> None:
    data = forge.store(VALUES)
    for size in [*range(2 * PAGE, len(data), 700), len(data) - 1]:
        with pytest.raises(StoreError, match="lies outside the file"):
            parse(data[:size])


def test_a_tree_that_leads_back_to_itself_is_refused() -> None:
    data = bytearray(Forge(per_page=3).store(MANY))
    root = len(data) // PAGE - 1
    (node,) = struct.unpack_from("<H", data, root * PAGE + 18)
    # The second child of the root shall be the first one once more.
    (first,) = struct.unpack_from("<H", data, root * PAGE + 16)
    data[root * PAGE + node : root * PAGE + node + 4] = data[root * PAGE + first : root * PAGE + first + 4]
    with pytest.raises(StoreError, match="is used twice"):
        parse(bytes(data))


def changed(values: dict[str, bytes], offset: int, number: int, per_page: int = 1000) -> bytes:
    """Return a store of which two bytes of the root page are another number."""
    data = bytearray(Forge(per_page=per_page).store(values))
    root = PAGE * (len(data) // PAGE - 1)
    struct.pack_into("<H", data, root + offset, number)
    return bytes(data)


def number_at(data: bytes, offset: int) -> int:
    root = PAGE * (len(data) // PAGE - 1)
    return int.from_bytes(data[root + offset : root + offset + 2], "little")


def test_a_page_that_says_that_it_is_another_is_refused() -> None:
    with pytest.raises(StoreError, match="page 2 says that it is page 3"):
        parse(changed({"a": b"1"}, 0, 3))


def test_keys_that_are_not_in_order_are_refused() -> None:
    data = Forge().store({"a": b"1", "b": b"2"})
    (first, second) = (number_at(data, 16), number_at(data, 18))
    data = data[: 2 * PAGE + 16] + struct.pack("<HH", second, first) + data[2 * PAGE + 20 :]
    with pytest.raises(StoreError, match="not in order"):
        parse(data)


def test_entries_that_overlap_are_refused() -> None:
    values = {"a": b"1", "b": b"2"}
    lowest = number_at(Forge().store(values), 18)
    for changes in ((14, lowest + 2), (lowest, 40), (16, 40)):
        with pytest.raises(StoreError, match="nodes that overlap"):
            parse(changed(values, *changes))


def test_a_page_number_is_read_to_its_last_bit() -> None:
    first = number_at(Forge(per_page=3).store(MANY), 16)
    with pytest.raises(StoreError, match="lies outside the file"):
        parse(changed(MANY, first + 4, 1, per_page=3))


def test_more_entries_than_there_are_is_refused() -> None:
    data = Forge().store({"a": b"1"})
    wrong = Forge().head(1, transaction=3, last=2, root=2, depth=1, entries=2)
    with pytest.raises(StoreError, match="holds 1 entries and claims 2"):
        parse(data[:PAGE] + wrong + data[2 * PAGE :])


@pytest.mark.parametrize("depth", [0, 2, 33])
def test_a_tree_of_another_depth_than_it_claims_is_refused(depth: int) -> None:
    data = Forge().store({"a": b"1"})
    wrong = Forge().head(1, transaction=3, last=2, root=2, depth=depth, entries=1)
    with pytest.raises(StoreError, match=r"deep|kind of page"):
        parse(data[:PAGE] + wrong + data[2 * PAGE :])


SAMPLES = [forge.store(VALUES) for forge in LAYOUTS] + [Forge(page_size=256, per_page=2).store(VALUES)]


@example(0, [(0, 0xFF)])
@given(
    st.integers(0, len(SAMPLES) - 1),
    st.lists(st.tuples(st.integers(0, 3 * PAGE), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_bytes_that_were_changed_never_lead_to_another_error(sample: int, changes: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLES[sample])
    for place, value in changes:
        data[place % len(data)] = value
    try:
        found = parse(bytes(data))
    except StoreError:
        return
    assert sum(len(value) for value in found.values()) <= len(data)


@given(st.integers(0, len(SAMPLES) - 1), st.integers(0, 40), st.integers(0, 2**16 - 1), st.integers(0, 7))
def test_numbers_that_were_changed_never_lead_to_another_error(sample: int, place: int, value: int, page: int) -> None:
    data = bytearray(SAMPLES[sample])
    start = page * PAGE + 2 * place
    data[start : start + 2] = value.to_bytes(2, "little")
    with suppress(StoreError):
        parse(bytes(data))


# --- files


def test_the_file_is_named_when_it_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"cannot read {tmp_path}/store: no such file"):
        read_store(tmp_path / "store")
    with pytest.raises(StoreError, match=f"cannot read {tmp_path}: "):
        read_store(tmp_path)


def test_a_file_that_is_far_too_large_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "store").open("wb") as file:
        file.truncate(reader.MAX_STORE + 1)
    with pytest.raises(StoreError, match="has more than"):
        read_store(tmp_path / "store")


class Growing(type(Path())):  # type: ignore[misc]  # the class of paths depends on the system
    """A file that is written all the time."""

    def open(self, *args: Any, **more: Any) -> Any:
        Path(self).write_bytes(Path(self).read_bytes() + bytes(PAGE))
        return super().open(*args, **more)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(Forge().store(VALUES))
    with pytest.raises(StoreError, match="changes while it is read") as caught:
        read_store(Growing(tmp_path / "store"))
    assert "stop the Mender client" in str(caught.value.hint)


def test_reading_changes_nothing(tmp_path: Path) -> None:
    store = tmp_path / "mender-store"
    store.write_bytes(Forge().store(VALUES))
    before = store.stat()
    assert read_store(store) == VALUES
    assert [path.name for path in tmp_path.iterdir()] == ["mender-store"]
    assert store.stat().st_mtime_ns == before.st_mtime_ns
