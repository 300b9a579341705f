"""Writes that come at once go together, and nobody can tell."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents.base import Add, StoreUnavailable
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.errors import RateLimited
from gateway.limits.base import Reservation
from gateway.limits.fallback import LocalCounters
from gateway.limits.limiter import Limiter
from gateway.limits.merged import MergedCounters
from support.outages import Silent, Unreliable

OWN = "limits/d/subjects/a"
OTHERS = ("limits/d/global/0", "limits/d/global/1", "limits/c/subjects/a")
FIELDS = ("requests", "tokens", "r1", "t1", "r2")
ONE = Add(OWN, {"requests": 1})

others = st.builds(
    Add,
    st.sampled_from(OTHERS),
    st.dictionaries(st.sampled_from(FIELDS), st.integers(-9, 9), max_size=4),
    st.sampled_from([(), ("r0",), ("r0", "t0")]),
)
calls = st.tuples(
    st.builds(Add, st.just(OWN), st.dictionaries(st.sampled_from(FIELDS), st.integers(-9, 9))),
    st.lists(others, max_size=3, unique_by=lambda add: add.path),
)


@given(st.lists(calls, max_size=12))
async def test_everybody_reads_what_they_would_have_read_one_by_one(
    asked: list[tuple[Add, list[Add]]],
) -> None:
    together, alone = MergedCounters(LocalCounters()), LocalCounters()
    merged = await asyncio.gather(*(together.commit(first, *rest) for first, rest in asked))
    single = [await alone.commit(first, *rest) for first, rest in asked]
    values = [[[one.values for one in each] for each in answers] for answers in (merged, single)]
    assert values[0] == values[1]


async def test_a_field_that_somebody_counts_is_not_dropped_by_another(
    documents: MeteredDocuments,
) -> None:
    """Their clocks may be a window apart."""
    await documents.commit(Add(OWN, {"r0": 1, "r1": 5}))
    counters = MergedCounters(documents)
    late, early = Add(OWN, {"r9": 1}, drop=("r0", "r1")), Add(OWN, {"r1": 1})
    written = await asyncio.gather(counters.commit(late), counters.commit(early))
    assert [each.values for (each,) in written] == [{"r9": 1}, {"r1": 6}]
    (found,) = await documents.get(OWN)
    assert found is not None
    assert found.fields == {"r1": 6, "r9": 1}


async def test_a_hundred_at_once_cost_two_writes(
    make_limiter: Callable[..., Limiter], documents: MeteredDocuments
) -> None:
    """One counts them, one gives back what was refused."""
    limiter = make_limiter(requests=50)
    outcomes = await asyncio.gather(
        *(limiter.admit("google:alice", 5) for _ in range(100)), return_exceptions=True
    )
    assert sum(isinstance(each, Reservation) for each in outcomes) == 50
    assert sum(isinstance(each, RateLimited) for each in outcomes) == 50
    assert documents.operations == Operations(writes=2)


async def test_who_comes_during_a_write_waits_for_the_next(documents: MeteredDocuments) -> None:
    silent = Silent(documents)
    counters = MergedCounters(silent)
    first = asyncio.create_task(counters.commit(ONE))
    await silent.until_waiting(1)
    later = [asyncio.create_task(counters.commit(ONE)) for _ in range(5)]
    other = asyncio.create_task(counters.commit(Add(OTHERS[0], {"requests": 1})))
    await silent.until_waiting(2)  # another subject waits for nobody
    silent.give_up()
    with pytest.raises(StoreUnavailable):
        await first
    with pytest.raises(StoreUnavailable):
        await other
    await silent.until_waiting(1)
    assert not any(task.done() for task in later)
    silent.give_up()
    outcomes = await asyncio.gather(*later, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}


async def test_a_failure_is_forgotten_with_those_it_failed(documents: MeteredDocuments) -> None:
    counters = MergedCounters(Unreliable(documents, "refused"))
    with pytest.raises(StoreUnavailable):
        await counters.commit(ONE)
    (written,) = await counters.commit(ONE)
    assert written.values == {"requests": 1}


async def test_a_cancelled_caller_is_counted_and_takes_nobody_along(
    documents: MeteredDocuments,
) -> None:
    counters = MergedCounters(documents)
    leaving, staying = (asyncio.create_task(counters.commit(ONE)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    (written,) = await staying
    assert leaving.cancelled()
    assert written.values == {"requests": 2}


async def test_labels_of_merged_writes_stand_together(documents: MeteredDocuments) -> None:
    counters = MergedCounters(documents)
    plain, labelled = Add(OWN, {"requests": 1}), Add(OWN, {"requests": 1}, labels={"who": "a"})
    await asyncio.gather(counters.commit(plain), counters.commit(plain), counters.commit(labelled))
    (found,) = await documents.get(OWN)
    assert found is not None
    assert found.fields == {"requests": 3, "who": "a"}
