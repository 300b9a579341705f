"""The counters of a process whose store is away."""

from gateway.documents.base import Add
from gateway.limits.fallback import LocalCounters


async def add(counters: LocalCounters, write: Add) -> dict[str, float]:
    (written,) = await counters.commit(write)
    return dict(written.values)


async def test_they_add_read_and_drop_as_the_store_does() -> None:
    counters = LocalCounters()
    await add(counters, Add("c/a", {"n": 2, "old": 1}))
    assert await add(counters, Add("c/a", {"n": 1, "m": 0}, drop=["old"])) == {"n": 3, "m": 0}
    assert await add(counters, Add("c/a", {"old": 0})) == {"old": 0}


async def test_they_keep_the_documents_last_written() -> None:
    counters = LocalCounters(documents_kept=2)
    for path in ("c/a", "c/b", "c/a", "c/c"):
        await add(counters, Add(path, {"n": 1}))
    kept = [await add(counters, Add(path, {"n": 0})) for path in ("c/a", "c/c", "c/b")]
    assert kept == [{"n": 2}, {"n": 1}, {"n": 0}]
