"""Rolling up: a day's totals outlive its documents, once each, wherever a run was cut."""

from collections.abc import Callable

import pytest

from gateway.documents.base import Document, Documents, Set, StoreUnavailable, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.limits.limiter import Limiter
from gateway.limits.rollup import PAGE, PROGRESS_PATH, Rolled, Rollup
from limits.clock import Clock

DAY = 86_400
TODAY = 20_000  # 2024-10-04


async def roll_up(
    documents: Documents,
    day: float,
    *,
    dry_run: bool = False,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Rolled:
    return await Rollup(documents, day * DAY, out_of_time, dry_run=dry_run).run()


async def spend(documents: Documents, day: str, subjects: int) -> None:
    for n in range(subjects):
        fields = {"requests": n + 1, "tokens": 100 * n, "r5": 1, "t5": 3}
        await documents.commit(Set(f"limits/{day}/subjects/s{n:03d}", fields))
    await documents.commit(Set(f"limits/{day}/global/0", {"requests": subjects}))


async def usage(documents: Documents, day: str) -> dict[str, tuple[int, int]]:
    found = await documents.list(f"usage/{day}/subjects", limit=1000)
    return {each.id: (each.fields["requests"], each.fields["tokens"]) for each in found}


async def left(documents: Documents, day: str) -> list[Document]:
    subjects = await documents.list(f"limits/{day}/subjects", limit=1000)
    return subjects + await documents.list(f"limits/{day}/global", limit=1000)


async def test_what_the_limiter_counted_is_what_is_kept(
    make_limiter: Callable[..., Limiter], documents: MeteredDocuments, clock: Clock
) -> None:
    limiter = make_limiter(requests=100, tokens=10_000)
    for subject, tokens in (("alice", 40), ("alice", 2), ("bob", 7)):
        await limiter.admit(subject, tokens)
    refused = make_limiter(requests=1)
    await refused.admit("carol", 1)
    with pytest.raises(Exception, match="requests per min"):
        await refused.admit("carol", 1)
    assert await roll_up(documents, TODAY + 1.5) == Rolled(subjects=3)
    assert sorted((await usage(documents, "2024-10-04")).values()) == [(1, 1), (1, 7), (2, 42)]
    assert len(await left(documents, "2024-10-04")) == 3  # nobody's window is touched


@pytest.mark.parametrize(
    ("day", "rolled", "remains"),
    [
        (TODAY + 0.99, False, True),
        (TODAY + 1.04, False, True),  # a stream that began before midnight may still be settled
        (TODAY + 1.05, True, True),
        (TODAY + 2.99, True, True),
        (TODAY + 3.0, True, False),
    ],
)
async def test_a_day_is_rolled_up_an_hour_after_it_and_deleted_after_two_more(
    documents: MeteredDocuments, day: float, rolled: bool, remains: bool
) -> None:
    await spend(documents, "2024-10-04", 3)
    done = await roll_up(documents, day)
    assert bool(await usage(documents, "2024-10-04")) == bool(done.subjects) == rolled
    assert bool(await left(documents, "2024-10-04")) == (not done.deleted) == remains


async def test_days_missed_are_made_up_for(documents: MeteredDocuments) -> None:
    for day in ("2024-09-20", "2024-09-21", "2024-10-01", "2024-10-03"):
        await spend(documents, day, 2)
    assert await roll_up(documents, TODAY + 0.5) == Rolled(subjects=8, deleted=9)
    assert await usage(documents, "2024-09-20") == {"s000": (1, 0), "s001": (2, 100)}
    assert [bool(await left(documents, f"2024-10-0{n}")) for n in (1, 3)] == [False, True]


async def test_a_day_is_read_once(documents: MeteredDocuments) -> None:
    await spend(documents, "2024-10-03", 4)
    await roll_up(documents, TODAY + 0.5)
    documents.reset()
    assert await roll_up(documents, TODAY + 0.6) == Rolled()
    assert (documents.operations.reads, documents.operations.writes) == (1, 0)


async def test_a_day_has_its_sums_once(documents: MeteredDocuments) -> None:
    await spend(documents, "2024-10-03", PAGE + 3)
    await documents.commit(Set("limits/2024-10-03/subjects/t", {"requests": 0, "tokens": 0}))
    await roll_up(documents, TODAY + 0.5)
    await roll_up(documents, TODAY + 0.6)
    count = PAGE + 3
    expected = {
        "schema": 1,
        "identities": count,
        "requests": count * (count + 1) // 2,
        "tokens": 100 * count * (count - 1) // 2,
    }
    days = await documents.get("usage/2024-10-03", "usage/2024-10-02")
    assert [day and day.fields for day in days] == [expected, None]


async def test_a_run_begun_by_a_version_without_sums_goes_on(documents: MeteredDocuments) -> None:
    await spend(documents, "2024-10-03", 2)
    before = {"schema": 1, "rolled": TODAY - 2, "cleared": TODAY - 4, "after": "s000"}
    await documents.commit(Set(PROGRESS_PATH, before))
    assert await roll_up(documents, TODAY + 0.5) == Rolled(subjects=1)
    assert await usage(documents, "2024-10-03") == {"s001": (2, 100)}


async def test_whose_it_was_goes_along(
    make_limiter: Callable[..., Limiter], documents: MeteredDocuments
) -> None:
    await make_limiter().admit("google:1", 5)
    await roll_up(documents, TODAY + 1.5)
    (kept,) = await documents.list("usage/2024-10-04/subjects")
    assert kept.fields == {"schema": 1, "subject": "google:1", "requests": 1, "tokens": 5}


async def test_who_was_only_refused_used_nothing(documents: MeteredDocuments) -> None:
    await documents.commit(Set("limits/2024-10-03/subjects/a", {"requests": 0, "tokens": 0}))
    assert (await roll_up(documents, TODAY + 0.5)).subjects == 0
    assert await usage(documents, "2024-10-03") == {}


async def test_a_dry_run_counts_and_writes_nothing(documents: MeteredDocuments) -> None:
    await spend(documents, "2024-09-30", PAGE + 3)
    await spend(documents, "2024-10-03", 2 * PAGE)
    documents.reset()
    dry = await roll_up(documents, TODAY + 0.5, dry_run=True)
    assert (documents.operations.writes, documents.operations.deletes) == (0, 0)
    assert dry == await roll_up(documents, TODAY + 0.5) == Rolled(3 * PAGE + 3, PAGE + 4)


async def test_a_run_out_of_time_is_gone_on_with(documents: MeteredDocuments) -> None:
    await spend(documents, "2024-09-30", 2 * PAGE + 3)
    await spend(documents, "2024-10-03", PAGE)
    done = []
    for _ in range(80):  # a page each, most of them of empty days
        done.append(await roll_up(documents, TODAY + 0.5, out_of_time=lambda: True))
        if (await progress(documents)) == ("2024-10-03", "2024-10-01"):
            break
    assert sum(each.subjects for each in done) == 3 * PAGE + 3
    assert sum(each.deleted for each in done) == 2 * PAGE + 4
    assert len(await usage(documents, "2024-09-30")) == 2 * PAGE + 3
    (day,) = await documents.get("usage/2024-09-30")
    assert day is not None
    assert day.fields["identities"] == 2 * PAGE + 3
    assert await left(documents, "2024-09-30") == []


async def progress(documents: Documents) -> tuple[str, str]:
    names = {19_999: "2024-10-03", 19_997: "2024-10-01"}
    found = (await documents.get(PROGRESS_PATH))[0]
    assert found is not None
    return names.get(found.fields["rolled"], ""), names.get(found.fields["cleared"], "")


class Failing(MeteredDocuments):
    """Its `failing`-th commit fails, though it was applied where `applied` says so."""

    def __init__(self, inner: Documents, failing: int, *, applied: bool) -> None:
        super().__init__(inner)
        self._left = failing
        self._applied = applied

    async def commit(self, *writes: Write) -> list[Written]:
        self._left -= 1
        if self._left:
            return await super().commit(*writes)
        if self._applied:
            await super().commit(*writes)
        raise StoreUnavailable


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("failing", [29, 30, 31, 33])
async def test_a_run_cut_anywhere_is_finished_by_the_next(
    documents: MeteredDocuments, failing: int, applied: bool
) -> None:
    await spend(documents, "2024-10-01", PAGE + 3)
    before = {f"s{n:03d}": (n + 1, 100 * n) for n in range(PAGE + 3)}
    with pytest.raises(StoreUnavailable):
        await roll_up(Failing(documents, failing, applied=applied), TODAY + 0.5)
    await roll_up(documents, TODAY + 0.5)
    assert await usage(documents, "2024-10-01") == before
    (day,) = await documents.get("usage/2024-10-01")
    assert day is not None
    assert day.fields["requests"] == sum(requests for requests, _ in before.values())
    assert await left(documents, "2024-10-01") == []
