"""Documents in one SQLite file: the embedded default, no account needed.

WAL lets several processes share the file. `synchronous=NORMAL` survives a killed process; for power
cuts append `?synchronous=FULL` to the URL (https://www.sqlite.org/pragma.html#pragma_synchronous).
Writers queue on SQLite's lock for `BUSY_SECONDS`, then the request fails with `StoreUnavailable`.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, assert_never

import orjson

from gateway.documents.base import (
    Add,
    Conflict,
    Create,
    Delete,
    Document,
    Set,
    StoreUnavailable,
    Update,
    Write,
    Written,
    check_distinct,
    collection_of,
)

BUSY_SECONDS = 5.0

SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS documents (
    path TEXT PRIMARY KEY,
    collection TEXT NOT NULL,
    version INTEGER NOT NULL,
    fields BLOB NOT NULL,
    expires_at REAL
);
CREATE INDEX IF NOT EXISTS documents_by_collection ON documents (collection, path);
CREATE TABLE IF NOT EXISTS commits (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL);
INSERT OR IGNORE INTO commits (id, number) VALUES (1, 0);
COMMIT;
"""

BETWEEN = (
    "SELECT path, version, fields, expires_at FROM documents"
    " WHERE collection = ? AND path > ? AND path < ?"
)
OLDEST_FIRST = BETWEEN + " ORDER BY path ASC LIMIT ?"
NEWEST_FIRST = BETWEEN + " ORDER BY path DESC LIMIT ?"

T = TypeVar("T")
Row = tuple[str, int, bytes, float | None]


class SqliteDocuments:
    """One thread writes, one reads; each owns its connection, opened at its first use."""

    def __init__(self, file: str, synchronous: str = "NORMAL") -> None:
        if synchronous.upper() not in {"NORMAL", "FULL", "EXTRA"}:
            raise ValueError("synchronous is NORMAL, FULL or EXTRA")
        self._file = file
        self._synchronous = synchronous.upper()
        self._writer = _Lane(self._open)
        self._reader = _Lane(self._open)

    async def get(self, *paths: str) -> list[Document | None]:
        return await self._reader.run(lambda db: [_read(db, path) for path in paths])

    async def commit(self, *writes: Write) -> list[Written]:
        check_distinct(writes)
        return await self._writer.run(lambda db: _commit(db, writes))

    async def list(
        self,
        collection: str,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Document]:
        lower = f"{collection}/{after}" if after is not None else ""
        upper = f"{collection}/{before}" if before is not None else "\U0010ffff"
        query = NEWEST_FIRST if newest_first else OLDEST_FIRST
        bounds = (collection, lower, upper, limit)
        return await self._reader.run(
            lambda db: [_document(row) for row in db.execute(query, bounds)]
        )

    async def delete_tree(self, path: str, *, limit: int = 500) -> int:
        query = (
            "DELETE FROM documents WHERE path IN (SELECT path FROM documents"
            " WHERE path = ? OR (path > ? AND path < ?) LIMIT ?)"
        )
        bounds = (path, f"{path}/", f"{path}0", limit)  # "0" is the character after "/"

        def delete(db: sqlite3.Connection) -> int:
            with _transaction(db):
                return db.execute(query, bounds).rowcount

        return await self._writer.run(delete)

    async def clear(self) -> None:
        """Delete every document, for good: the file is rewritten without them.

        The file stays, and so does the number of commits: whoever has it open sees an empty store,
        and no version that anybody remembers comes again.
        """
        await self._writer.run(_clear)

    async def close(self) -> None:
        await self._writer.close()
        await self._reader.close()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _switch_to_wal(db)
            db.execute(f"PRAGMA synchronous={self._synchronous}")
            _create_tables(db)
        except BaseException:
            db.close()
            raise
        return db


class _Lane:
    """A thread with a connection of its own; work runs there one piece at a time."""

    def __init__(self, open_connection: Callable[[], sqlite3.Connection]) -> None:
        self._open = open_connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._db: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
        if self._db is not None:
            self._db.close()

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._db is None:
                self._db = self._open()
            return work(self._db)
        except sqlite3.Error as error:
            raise StoreUnavailable() from error


def _switch_to_wal(db: sqlite3.Connection) -> None:
    """While another connection switches a new file, SQLite says busy at once and does not wait."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(0.005)


def _create_tables(db: sqlite3.Connection) -> None:
    """Only in a new file: a connection that only reads must open while another one writes."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'commits'").fetchone():
        db.executescript(SCHEMA)


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has rolled back already
            db.execute("ROLLBACK")
        raise


def _clear(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM documents")
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _commit(db: sqlite3.Connection, writes: tuple[Write, ...]) -> list[Written]:
    with _transaction(db):
        number = db.execute("UPDATE commits SET number = number + 1 RETURNING number").fetchone()[0]
        return [_apply(db, write, number) for write in writes]


def _apply(db: sqlite3.Connection, write: Write, number: int) -> Written:
    match write:
        case Create():
            if _version(db, write.path) is not None:
                raise Conflict(write.path, "exists")
            _put(db, write, number)
        case Set():
            _put(db, write, number)
        case Update():
            _require_version(db, write.path, write.version)
            _put(db, write, number)
        case Delete():
            if write.version is not None:
                _require_version(db, write.path, write.version)
            db.execute("DELETE FROM documents WHERE path = ?", (write.path,))
        case Add():
            return Written(str(number), _add(db, write, number))
        case _:
            assert_never(write)
    return Written(str(number))


def _add(db: sqlite3.Connection, write: Add, number: int) -> dict[str, float]:
    before = _read(db, write.path)
    fields = dict(before.fields) if before else {}
    for name in write.drop:
        fields.pop(name, None)
    values = {name: fields.get(name, 0) + amount for name, amount in write.amounts.items()}
    fields.update(values)
    fields.update(write.labels)
    expires_at = write.expires_at
    if expires_at is None and before:
        expires_at = before.expires_at
    _put(db, Set(write.path, fields, expires_at), number)
    return values


def _put(db: sqlite3.Connection, write: Create | Set | Update, number: int) -> None:
    db.execute(
        "INSERT INTO documents (path, collection, version, fields, expires_at)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET"
        " version = excluded.version, fields = excluded.fields, expires_at = excluded.expires_at",
        (
            write.path,
            collection_of(write.path),
            number,
            orjson.dumps(dict(write.fields)),
            write.expires_at,
        ),
    )


def _version(db: sqlite3.Connection, path: str) -> str | None:
    row = db.execute("SELECT version FROM documents WHERE path = ?", (path,)).fetchone()
    return None if row is None else str(row[0])


def _require_version(db: sqlite3.Connection, path: str, expected: str) -> None:
    found = _version(db, path)
    if found is None:
        raise Conflict(path, "missing")
    if found != expected:
        raise Conflict(path, "stale")


def _read(db: sqlite3.Connection, path: str) -> Document | None:
    row: Row | None = db.execute(
        "SELECT path, version, fields, expires_at FROM documents WHERE path = ?", (path,)
    ).fetchone()
    return None if row is None else _document(row)


def _document(row: Row) -> Document:
    path, version, fields, expires_at = row
    return Document(path, orjson.loads(fields), str(version), expires_at)
