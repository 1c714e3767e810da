"""The tables, and how they change from version to version.

After a rollback an older client reads what a newer one wrote. So a migration only ever adds: tables, columns that may
be empty, indexes. Nothing is renamed, removed or given another meaning, and an older client simply does not look at
what it does not know. `user_version` says how far a file was migrated; one that is further than this client knows is
used as it is.
"""

from typing import TYPE_CHECKING, Final

from bistable.client.errors import StoreDamagedError, StoreError

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS: Final = 10.0
"""How long a change waits for another process of ours to finish its own."""

DAMAGED: Final = "the file is damaged: bistablectl doctor says how to go on"

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE record (only INTEGER PRIMARY KEY CHECK (only = 1), text TEXT NOT NULL)",
        "CREATE TABLE provides (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)",
        "CREATE TABLE kept (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)",
        """CREATE TABLE history (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, artifact TEXT, result TEXT NOT NULL, error TEXT,
            place TEXT NOT NULL, began REAL NOT NULL, ended REAL NOT NULL
        )""",
    ),
)
"""Version n is reached by the statements of the first n. Only ever append."""


def migrate(connection: "sqlite3.Connection") -> None:
    """Bring the file to this client's version, each step in a transaction of its own; newer ones are left alone.

    Raises:
        StoreError: the file is damaged.
        sqlite3.DatabaseError: it cannot be read or written.
    """
    # In this order: another process of ours may just be making them.
    tables, version = _tables(connection), _version(connection)
    if version == 0 and tables:
        raise StoreError("cannot use the store: it is a database of something else")
    if version < 0:
        raise StoreDamagedError("cannot use the store: its file is damaged", hint=DAMAGED)
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        # Another process of ours may have done it while this one waited for its turn.
        if _version(connection) < number:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()
    if damage is None or damage[0] != "ok":
        raise StoreDamagedError("cannot use the store: its file is damaged", hint=DAMAGED)


def is_unfinished(connection: "sqlite3.Connection") -> bool:
    """Return whether nothing was ever written to the file.

    Raises:
        sqlite3.DatabaseError: it cannot be read.
    """
    return _version(connection) == 0 and not _tables(connection)


def _version(connection: "sqlite3.Connection") -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _tables(connection: "sqlite3.Connection") -> int:
    return int(connection.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").fetchone()[0])
