"""What only SQLite can do wrong."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.documents.base import Add, Create, Delete, StoreUnavailable
from gateway.documents.sqlite import SqliteDocuments
from gateway.documents.sqlite_connections import CHECKPOINT_COMMITS


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "documents.db")


@pytest.fixture
async def documents(file: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteDocuments]:
    monkeypatch.setattr("gateway.documents.sqlite.BUSY_SECONDS", 0.05)
    opened = SqliteDocuments(file)
    yield opened
    await opened.close()


@contextlib.contextmanager
def locked(file: str) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


async def test_a_file_in_a_missing_directory_is_an_unavailable_store(tmp_path: Path) -> None:
    documents = SqliteDocuments(str(tmp_path / "missing" / "documents.db"))
    with pytest.raises(StoreUnavailable):
        await documents.get("c/a")
    with pytest.raises(StoreUnavailable):
        await documents.commit(Create("c/a", {}))
    await documents.close()


async def test_a_file_that_is_no_database_is_an_unavailable_store(file: str) -> None:
    await asyncio.to_thread(Path(file).write_bytes, b"no database" * 1000)
    documents = SqliteDocuments(file)
    with pytest.raises(StoreUnavailable):
        await documents.get("c/a")
    await documents.close()


async def test_a_locked_database_refuses_writes_and_recovers(
    documents: SqliteDocuments, file: str
) -> None:
    await documents.commit(Add("c/a", {"n": 1}))
    with locked(file), pytest.raises(StoreUnavailable):
        await documents.commit(Add("c/a", {"n": 1}))
    (written,) = await documents.commit(Add("c/a", {"n": 1}))
    assert written.values == {"n": 2}


async def test_a_locked_database_is_still_read(documents: SqliteDocuments, file: str) -> None:
    await documents.commit(Create("c/a", {"n": 1}))
    await documents.get("c/a")
    with locked(file):
        (found,) = await documents.get("c/a")
    assert found is not None


async def test_a_locked_database_is_opened_for_reading(
    documents: SqliteDocuments, file: str
) -> None:
    await documents.commit(Create("c/a", {"n": 1}))
    with locked(file):
        (found,) = await documents.get("c/a")  # the reading connection opens only now
    assert found is not None


async def test_many_instances_open_a_new_file_at_once(file: str) -> None:
    instances = [SqliteDocuments(file) for _ in range(8)]
    await asyncio.gather(
        *(each.commit(Add("c/a", {"n": 1})) for each in instances),
        *(each.get("c/a") for each in instances),
    )
    (written,) = await instances[0].commit(Add("c/a", {"n": 0}))
    assert written.values == {"n": 8}
    for each in instances:
        await each.close()


async def test_a_version_never_returns(documents: SqliteDocuments) -> None:
    versions = set()
    for _ in range(5):
        (written,) = await documents.commit(Create("c/a", {}))
        versions.add(written.version)
        await documents.commit(Delete("c/a"))
    await documents.commit(Create("c/a", {}))
    await documents.delete_tree("c")
    (written,) = await documents.commit(Create("c/a", {}))
    assert len(versions | {written.version}) == 6


async def test_another_process_reads_what_was_committed(
    documents: SqliteDocuments, file: str
) -> None:
    await documents.commit(Create("c/a", {"n": 1}))
    query = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]))"
    select = "SELECT path FROM documents"
    child = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", query, file, select], capture_output=True, text=True
    )
    assert child.stdout.strip() == "('c/a',)"


async def test_closing_twice_or_unopened_is_no_error(file: str) -> None:
    documents = SqliteDocuments(file)
    await documents.close()
    await documents.close()


def test_an_unknown_durability_is_refused() -> None:
    with pytest.raises(ValueError, match="synchronous"):
        SqliteDocuments("documents.db", synchronous="OFF")


def test_making_one_opens_nothing(file: str) -> None:
    SqliteDocuments(file)
    assert not Path(file).exists()


async def test_whoever_meets_a_lock_waits_for_it_on_a_thread(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.documents.sqlite.BUSY_SECONDS", 30.0)
    documents = SqliteDocuments(file)
    await documents.commit(Add("c/a", {"n": 1}))
    with locked(file):
        waiting = asyncio.create_task(documents.commit(Add("c/a", {"n": 1})))
        (found,) = await documents.get("c/a")  # the loop goes on meanwhile
        assert found is not None
        assert not waiting.done()
    (written,) = await waiting
    assert written.values == {"n": 2}
    await documents.close()


async def test_what_meets_nobody_is_done_at_once(documents: SqliteDocuments) -> None:
    await documents.commit(Create("c/a", {"n": 1}))
    for work in (documents.commit(Add("c/a", {"n": 1})), documents.get("c/a")):
        with pytest.raises(StopIteration):
            work.send(None)  # it never waited for anything


async def test_the_log_of_writes_stays_short(documents: SqliteDocuments, file: str) -> None:
    for _ in range(4 * CHECKPOINT_COMMITS):
        await documents.commit(Add("c/a", {"n": 1}))
    await documents.close()
    (found,) = await SqliteDocuments(file).get("c/a")
    assert found is not None
    assert found.fields == {"n": 4 * CHECKPOINT_COMMITS}


async def test_a_disk_that_every_commit_waits_for_is_waited_for_on_a_thread(file: str) -> None:
    documents = SqliteDocuments(file, synchronous="FULL")
    await documents.commit(Create("c/a", {}))
    work = documents.commit(Add("c/a", {"n": 1}))
    assert work.send(None) is not None
    work.close()
    await documents.close()
