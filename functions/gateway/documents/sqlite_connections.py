"""Where SQLite's work is done: on a thread, where it may wait, or at once on the event loop."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from gateway.documents.base import StoreUnavailable

CHECKPOINT_COMMITS = 250  # about as many as write the thousand pages of SQLite's own rule
PRIMARY_CODE = 0xFF  # of SQLite's extended error codes

HELD = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

T = TypeVar("T")


class Lane:
    """A thread with a connection of its own; work runs there one piece at a time."""

    def __init__(self, open_connection: Callable[[], sqlite3.Connection]) -> None:
        self._open = open_connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._db: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def begin(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Nobody waits for it, and nobody learns that it failed."""
        self._thread.submit(self._work, work)

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


class Here:
    """A connection for the event loop, which never waits: where it would have to, it gives up.

    It leaves the checkpoints, which wait for the disk, to the writing thread.
    """

    def __init__(self, open_connection: Callable[[], sqlite3.Connection]) -> None:
        self._open = open_connection
        self._opening = Lock()
        self._db: sqlite3.Connection | None = None
        self._commits = 0

    def open(self) -> None:
        """On a thread: a new file is switched to WAL and given its tables."""
        with self._opening:
            if self._db is None:
                db = self._open()
                db.execute("PRAGMA busy_timeout=0")
                db.execute("PRAGMA wal_autocheckpoint=0")
                self._db = db

    def attempt(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """None where it is not open, or somebody else holds a lock: then nothing was changed."""
        if self._db is None:
            return None
        try:
            return work(self._db)
        except sqlite3.Error as error:
            if error.sqlite_errorcode & PRIMARY_CODE in {
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
            }:
                return None
            raise StoreUnavailable() from error

    def is_checkpoint_due(self) -> bool:
        self._commits += 1
        return self._commits % CHECKPOINT_COMMITS == 0

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
