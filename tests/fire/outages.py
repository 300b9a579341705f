"""What else goes wrong in a storm: the store hangs, the retriever dies and returns, the worker is
killed. Each notes when, so that what it cost can be told from what leaked."""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from support.retriever import LoopbackRetriever
from support.service import Service

STORE_AWAY_SECONDS = 6.0  # longer than a writer waits for SQLite's lock
AFTERMATH_SECONDS = 6.0  # what was waiting for the store then gives up


@dataclass
class Outages:
    """`store` holds the windows in which a settlement may have been lost; times are
    `time.perf_counter`'s."""

    folder: Path
    store: list[tuple[float, float]] = field(default_factory=list)
    kills: list[tuple[float, float]] = field(default_factory=list)

    async def lock_the_store(self) -> None:
        """Nobody can write until it is over."""
        begun = time.perf_counter()
        with closing(sqlite3.connect(self.folder / "memory.db", timeout=60)) as db:
            db.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(STORE_AWAY_SECONDS)
            db.rollback()
        self.store.append((begun, time.perf_counter() + AFTERMATH_SECONDS))

    async def kill_the_worker(self, service: Service) -> None:
        """SIGKILL; the server starts another, at the same port."""
        begun = time.perf_counter()
        service.worker.kill()
        await asyncio.to_thread(service.wait_until_healthy)
        self.kills.append((begun, time.perf_counter()))


async def come_and_go(port: int, up_seconds: float, down_seconds: float) -> None:
    """A retriever, until cancelled: there, and then refusing connections."""
    while True:
        retriever = LoopbackRetriever(attends_to="q-", port=port)
        async with retriever:
            await asyncio.sleep(up_seconds)
        await asyncio.sleep(down_seconds)
