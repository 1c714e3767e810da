"""What must survive: the update in progress, what the device provides, what was done. One SQLite file."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from bistable.client.errors import StoreDamagedError, StoreError
from bistable.client.files import make_directory, sync_directory
from bistable.client.store.schema import BUSY_SECONDS, DAMAGED, is_unfinished, migrate

if TYPE_CHECKING:
    import sqlite3

FILE_NAME: Final = "bistable.db"
HISTORY_KEPT: Final = 100
"""Ended updates that are remembered."""

CORRUPT_KEPT: Final = 3
"""Stores found damaged and put aside that are kept for whoever wants to know."""

_ASIDE: Final = ".corrupt-"
_BESIDE: Final = ("-journal", "-wal", "-shm")

SUCCESS: Final = "success"
FAILURE: Final = "failure"
ABORTED: Final = "aborted"
ROLLED_BACK: Final = "rolled-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An update that is over; `result` is one of the above, times are wall clock seconds, as wrong as the clock was."""

    id: str
    artifact: str | None
    result: str
    error: str | None
    where: str
    began: float
    ended: float


class Store:
    """The store of one device. Every change is durable when the call returns, or has not happened.

    What belongs together is changed inside one `transaction`.
    """

    def __init__(self, connection: "sqlite3.Connection", path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the store in the data directory; make it if there is none.

        Raises:
            StoreDamagedError: it is damaged: see `put_aside`.
            StoreError: it cannot be made, opened or understood.
        """
        path = directory / FILE_NAME
        with _failures(path, "open"):
            fresh = not path.exists()
            make_directory(directory)
            connection = _connect(path, "rwc")
            try:
                migrate(connection)
                if fresh:
                    sync_directory(directory)
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    @classmethod
    def open_for_reading(cls, directory: Path) -> Self | None:
        """Open the store for looking only; None if there is none yet. (A journal left by a power cut is still applied.)

        Raises:
            StoreError: it cannot be opened or understood.
        """
        path = directory / FILE_NAME
        with _failures(path, "open"):
            if not path.exists():
                return None
            connection = _connect(path, "rw")
            try:
                # The disk was full, or the power went, when it was made.
                if is_unfinished(connection):
                    connection.close()
                    return None
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Look through the whole file for damage.

        Raises:
            StoreError: it is damaged.
        """
        if (found := self._rows("PRAGMA quick_check(1)")) != [("ok",)]:
            raise StoreDamagedError(
                f"cannot use the store {self.path}: its file is damaged ({found[0][0]})", hint=DAMAGED
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes inside the block durable together at its end, or none if it raises.

        Raises:
            StoreError: they cannot be made durable; then none was.
        """
        with _failures(self.path, "write"):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(Exception):
                self._connection.execute("ROLLBACK")
            raise
        try:
            with _failures(self.path, "write"):
                self._connection.execute("COMMIT")
        except StoreError:
            with suppress(Exception):
                self._connection.execute("ROLLBACK")
            raise

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with _failures(self.path, "read"):
            return self._connection.execute(sql, values).fetchall()

    def _text(self, value: Any) -> str:
        # SQLite's own check does not look whether a text column holds text: damage can turn it into anything.
        if not isinstance(value, str):
            raise StoreDamagedError(f"cannot read the store {self.path}: its file is damaged", hint=DAMAGED)
        return value

    def _number(self, value: Any) -> float:
        if not isinstance(value, float):
            raise StoreDamagedError(f"cannot read the store {self.path}: its file is damaged", hint=DAMAGED)
        return value

    def _change(self, sql: str, *values: Any) -> None:
        with _failures(self.path, "write"):
            self._connection.execute(sql, values)

    # --- the update in progress

    def record(self) -> str | None:
        """Return the record of the update in progress, in its encoded form; None if there is none."""
        rows = self._rows("SELECT text FROM record")
        return None if not rows else self._text(rows[0][0])

    def save_record(self, text: str) -> None:
        """Replace the record of the update in progress."""
        self._change(
            "INSERT INTO record (only, text) VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET text = excluded.text", text
        )

    def remove_record(self) -> None:
        """There is no update in progress any more."""
        self._change("DELETE FROM record")

    # --- what the device provides

    def provides(self) -> dict[str, str]:
        """Return what the device provides, `artifact_name` and `artifact_group` included; empty if nothing is known."""
        rows = self._rows("SELECT key, value FROM provides ORDER BY key")
        return {self._text(key): self._text(value) for key, value in rows}

    def replace_provides(self, provides: Mapping[str, str]) -> None:
        """Replace all that the device provides."""
        self._change("DELETE FROM provides")
        for key, value in provides.items():
            self._change("INSERT INTO provides (key, value) VALUES (?, ?)", key, value)

    # --- single values

    def value(self, key: str) -> str | None:
        """Return what was last kept under a key."""
        rows = self._rows("SELECT value FROM kept WHERE key = ?", key)
        return None if not rows else self._text(rows[0][0])

    def keep_value(self, key: str, value: str) -> None:
        """Keep a value under a key."""
        self._change(
            "INSERT INTO kept (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            key,
            value,
        )

    # --- what was done

    def history(self) -> Sequence[Ended]:
        """Return the updates that ended, the latest first."""
        rows = self._rows(
            "SELECT id, artifact, result, error, place, began, ended FROM history ORDER BY number DESC LIMIT ?",
            HISTORY_KEPT,
        )
        return [
            Ended(
                id=self._text(row[0]),
                artifact=None if row[1] is None else self._text(row[1]),
                result=self._text(row[2]),
                error=None if row[3] is None else self._text(row[3]),
                where=self._text(row[4]),
                began=self._number(row[5]),
                ended=self._number(row[6]),
            )
            for row in rows
        ]

    def add_history(self, ended: Ended) -> None:
        """Remember an update that ended, and forget the oldest."""
        self._change(
            "INSERT INTO history (id, artifact, result, error, place, began, ended) VALUES (?, ?, ?, ?, ?, ?, ?)",
            ended.id,
            ended.artifact,
            ended.result,
            ended.error,
            ended.where,
            ended.began,
            ended.ended,
        )
        self._change("DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?", HISTORY_KEPT)


def put_aside(directory: Path) -> Path:
    """Move a store that cannot be used out of the way, and return where it is now; the oldest put aside are deleted.

    Raises:
        StoreError: it cannot be moved.
    """
    path = directory / FILE_NAME
    with _failures(path, "put aside"):
        old = sorted(number for file in directory.iterdir() if (number := _number_of(file)) is not None)
        target = _aside(directory, old[-1] + 1 if old else 1)
        # Its journal belongs to it, for whoever wants to know. The file goes first: one without its journal could pass
        # for whole, while a journal without its file is thrown away by SQLite.
        path.rename(target)
        for suffix in _BESIDE:
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
        for number in old[: max(0, len(old) + 1 - CORRUPT_KEPT)]:
            for suffix in ("", *_BESIDE):
                _aside(directory, number, suffix).unlink(missing_ok=True)
        sync_directory(directory)
    return target


def _aside(directory: Path, number: int, suffix: str = "") -> Path:
    return directory / f"{FILE_NAME}{_ASIDE}{number:03}{suffix}"


def _number_of(file: Path) -> int | None:
    digits = file.name.removeprefix(FILE_NAME + _ASIDE)
    return int(digits) if digits != file.name and digits.isdecimal() else None


def _connect(path: Path, mode: str) -> "sqlite3.Connection":
    import sqlite3
    from urllib.parse import quote

    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
        check_same_thread=False,
    )
    try:
        # The journal is written, synced, then the file, then the journal is cut to nothing, which is the commit. No
        # shared memory and no second file that has to be kept with the first, as WAL has.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_mode = TRUNCATE" if mode == "rwc" else "PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _failures(path: Path, what: str) -> Iterator[None]:
    import sqlite3

    try:
        yield
    except sqlite3.DatabaseError as e:
        hint = _hint(e)
        kind = StoreDamagedError if hint is DAMAGED else StoreError
        raise kind(f"cannot {what} the store {path}: {e}", hint=hint) from e
    except UnicodeDecodeError as e:
        # The message of an error may quote what the damage made of a name.
        raise StoreDamagedError(f"cannot {what} the store {path}: its file is damaged", hint=DAMAGED) from e
    except OSError as e:
        raise StoreError(f"cannot {what} the store {path}: {e.strerror or e}") from e


def _hint(error: Exception) -> str | None:
    words = str(error)
    if "malformed" in words or "not a database" in words:
        return DAMAGED
    if "readonly" in words or "unable to open" in words:
        return "is the data partition mounted, writable, and are you root?"
    if "full" in words:
        return "make room on the data partition"
    return None
