"""Documents in one SQLite file: the embedded default, no account needed.

WAL lets several processes share the file. `synchronous=NORMAL` survives a killed process; for power
cuts append `?synchronous=FULL` to the URL (https://www.sqlite.org/pragma.html#pragma_synchronous).
Writers queue on SQLite's lock for `BUSY_SECONDS`, then the request fails with `StoreUnavailable`.

What takes less time than to hand it to a thread is done at once, on the event loop: reading and
writing a few documents, while nobody else holds the lock. Whatever waits (a lock, a disk, a page of
many documents) waits on a thread.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import TypeVar, assert_never

import orjson

from gateway.documents.base import (
    Add,
    Conflict,
    Create,
    Delete,
    Document,
    Set,
    Update,
    Write,
    Written,
    check_distinct,
    collection_of,
)
from gateway.documents.sqlite_connections import Here, Lane

BUSY_SECONDS = 5.0
FEW = 16  # documents read at once on the event loop

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
    """One thread writes, one reads, and what does not wait runs where it is called; each owns its
    connection, opened at its first use."""

    def __init__(self, file: str, synchronous: str = "NORMAL") -> None:
        if synchronous.upper() not in {"NORMAL", "FULL", "EXTRA"}:
            raise ValueError("synchronous is NORMAL, FULL or EXTRA")
        self._file = file
        self._synchronous = synchronous.upper()
        self._writer = Lane(self._open)
        self._reader = Lane(self._open)
        self._here = Here(self._open)
        self._waits_for_disk = self._synchronous != "NORMAL"

    async def get(self, *paths: str) -> list[Document | None]:
        def read(db: sqlite3.Connection) -> list[Document | None]:
            return [_read(db, path) for path in paths]

        if len(paths) <= FEW and (found := self._here.attempt(read)) is not None:
            return found
        return await self._aside(self._reader, read)

    async def commit(self, *writes: Write) -> list[Written]:
        check_distinct(writes)

        def write(db: sqlite3.Connection) -> list[Written]:
            return _commit(db, writes)

        written = None if self._waits_for_disk else self._here.attempt(write)
        if written is None:
            return await self._aside(self._writer, write)
        if self._here.is_checkpoint_due():
            self._writer.begin(_checkpoint)
        return written

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
        self._here.close()
        await self._writer.close()
        await self._reader.close()

    async def _aside(self, lane: "Lane", work: Callable[[sqlite3.Connection], T]) -> T:
        """On a thread, where it may wait; the connection for the loop is opened there too."""

        def opened(db: sqlite3.Connection) -> T:
            self._here.open()
            return work(db)

        return await lane.run(opened)

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


def _checkpoint(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA wal_checkpoint(PASSIVE)")


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
