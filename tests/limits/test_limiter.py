"""Admitting, refusing and settling, on a real store and a clock that stands still."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from gateway.documents.base import Set
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.documents.sqlite import SqliteDocuments
from gateway.errors import RateLimited, TooLarge, Unavailable
from gateway.limits.base import Limits, Reservation
from gateway.limits.limiter import Limiter
from limits.clock import Clock

MakeLimiter = Callable[..., Limiter]
ALICE = "google:alice"


async def refused(limiter: Limiter, subject: str = ALICE, tokens: int = 0) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await limiter.admit(subject, tokens)
    return caught.value


async def admit_many(limiter: Limiter, times: int, tokens: int = 0) -> None:
    for _ in range(times):
        await limiter.admit(ALICE, tokens)


async def day_totals(documents: MeteredDocuments, path: str) -> tuple[float, float]:
    (found,) = await documents.get(path)
    assert found is not None
    return found.fields["requests"], found.fields["tokens"]


def subject_path(limiter: Limiter, reservation: Reservation) -> str:
    (write,) = limiter.settlement(reservation, reservation.tokens + 1)
    return write.path


# admitting


async def test_an_admitted_request_costs_one_write_and_no_read(
    make_limiter: MakeLimiter, documents: MeteredDocuments
) -> None:
    await make_limiter(requests=60, tokens=1000, budget=5000).admit(ALICE, 10)
    assert documents.operations == Operations(writes=1)


async def test_a_global_limit_costs_one_write_more(
    make_limiter: MakeLimiter, documents: MeteredDocuments
) -> None:
    await make_limiter(requests=60, service=200, shards=4).admit(ALICE, 10)
    assert documents.operations == Operations(writes=2)


async def test_just_after_midnight_it_costs_one_write_more(
    make_limiter: MakeLimiter, documents: MeteredDocuments, clock: Clock
) -> None:
    clock.now += 43_201
    limiter = make_limiter(requests=60)
    await limiter.admit(ALICE, 10)
    assert documents.operations == Operations(writes=2)
    clock.now += 60
    await limiter.admit(ALICE, 10)
    assert documents.operations == Operations(writes=3)


async def test_the_path_names_the_day_and_hides_the_subject(
    make_limiter: MakeLimiter, documents: MeteredDocuments
) -> None:
    await make_limiter(requests=60, service=9, shards=1).admit(ALICE, 10)
    (own,) = await documents.list("limits/2024-10-04/subjects")
    assert own.id == "jelkf4u6dsutqviywcxorz3jkgvftvscir6zilulhihsyzgsvp6a"
    assert [each.id for each in await documents.list("limits/2024-10-04/global")] == ["0"]


async def test_a_counted_document_expires_two_days_after_its_own(
    make_limiter: MakeLimiter, documents: MeteredDocuments, clock: Clock
) -> None:
    await make_limiter(requests=60, service=9).admit(ALICE, 10)
    for room in ("subjects", "global"):
        (found,) = await documents.list(f"limits/2024-10-04/{room}")
        assert found.expires_at == clock.now + 43_200 + 2 * 86_400


async def test_a_reservation_says_what_it_holds(make_limiter: MakeLimiter, clock: Clock) -> None:
    clock.now += 12
    held = await make_limiter(requests=60, tokens=1000).admit(ALICE, 10)
    assert (held.subject, held.tokens, held.day, held.bucket, held.admitted_at) == (
        ALICE,
        10,
        "2024-10-04",
        8642,
        clock.now,
    )


async def test_headers_count_down(make_limiter: MakeLimiter, clock: Clock) -> None:
    limiter = make_limiter(requests=60, tokens=1000)
    await limiter.admit(ALICE, 100)
    clock.now += 3
    assert (await limiter.admit(ALICE, 250)).headers() == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "58",
        "x-ratelimit-reset-requests": "1m2s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "650",
        "x-ratelimit-reset-tokens": "1m2s",
    }


async def test_zero_is_unlimited(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter()
    for _ in range(100):
        assert (await limiter.admit(ALICE, 10_000_000)).headers() == {}


async def test_subjects_do_not_share_a_limit(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter(requests=1)
    await limiter.admit(ALICE, 1)
    await limiter.admit("google:bob", 1)
    await refused(limiter)


# refusing


async def test_requests_above_the_limit_are_refused_with_the_true_wait(
    make_limiter: MakeLimiter, clock: Clock
) -> None:
    limiter = make_limiter(requests=3)
    await limiter.admit(ALICE, 1)
    clock.now += 21
    await admit_many(limiter, 2)
    clock.now += 1.5
    error = await refused(limiter)
    assert (error.type, error.code) == ("requests", "rate_limit_exceeded")
    assert error.message == (
        "Rate limit reached on requests per min (RPM): Limit 3, Used 3, Requested 1."
        " Please try again in 43s."
    )
    assert error.headers["retry-after"] == "43"
    assert error.headers["x-ratelimit-remaining-requests"] == "0"
    clock.now += 42.4
    await refused(limiter)
    clock.now += 0.6
    await limiter.admit(ALICE, 1)
    await refused(limiter)


async def test_tokens_above_the_limit_are_refused_with_the_wait_of_their_size(
    make_limiter: MakeLimiter, clock: Clock
) -> None:
    limiter = make_limiter(tokens=1000)
    await limiter.admit(ALICE, 300)
    clock.now += 20
    await limiter.admit(ALICE, 500)
    small, large = await refused(limiter, tokens=250), await refused(limiter, tokens=501)
    assert (small.type, small.headers["retry-after"]) == ("tokens", "45")
    assert (large.type, large.headers["retry-after"]) == ("tokens", "65")
    assert "Limit 1000, Used 800, Requested 501" in large.message
    assert small.headers["x-ratelimit-remaining-tokens"] == "200"


async def test_the_wait_is_that_of_the_last_limit_to_lift(
    make_limiter: MakeLimiter, clock: Clock
) -> None:
    limiter = make_limiter(requests=2, tokens=1000)
    await limiter.admit(ALICE, 100)
    clock.now += 20
    await limiter.admit(ALICE, 800)
    error = await refused(limiter, tokens=900)
    assert (error.type, error.headers["retry-after"]) == ("tokens", "65")
    assert (await refused(limiter, tokens=1)).type == "requests"


async def test_what_could_never_pass_is_too_large_and_costs_nothing(
    make_limiter: MakeLimiter, documents: MeteredDocuments
) -> None:
    limiter = make_limiter(tokens=1000)
    with pytest.raises(TooLarge) as caught:
        await limiter.admit(ALICE, 1001)
    assert "retry-after" not in caught.value.headers
    assert documents.operations == Operations()
    await limiter.admit(ALICE, 1000)


async def test_a_spent_day_is_insufficient_quota_until_midnight(
    make_limiter: MakeLimiter, clock: Clock
) -> None:
    limiter = make_limiter(tokens=1000, budget=1500)
    await limiter.admit(ALICE, 900)
    clock.now += 100
    error = await refused(limiter, tokens=700)
    assert (error.status, error.code, error.type) == (429, *["insufficient_quota"] * 2)
    assert error.headers["retry-after"] == str(43_100)
    await limiter.admit(ALICE, 600)
    clock.now += 43_100
    await limiter.admit(ALICE, 700)


async def test_a_spent_day_is_asked_again_after_a_minute(
    make_limiter: MakeLimiter, clock: Clock
) -> None:
    one, two = make_limiter(budget=1000), make_limiter(budget=1000)
    held = await one.admit(ALICE, 900)
    await refused(two, tokens=200)
    await one.settle(held, 100)
    clock.now += 65
    await two.admit(ALICE, 200)


async def test_a_refused_request_gives_everything_back(
    make_limiter: MakeLimiter, documents: MeteredDocuments
) -> None:
    limiter = make_limiter(requests=5, tokens=1000, service=50, shards=1)
    held = await limiter.admit(ALICE, 900)
    await refused(limiter, tokens=200)
    assert documents.operations == Operations(writes=6)
    assert await day_totals(documents, subject_path(limiter, held)) == (1, 900)
    (shard,) = await documents.list("limits/2024-10-04/global")
    assert (shard.fields["requests"], shard.fields["r8640"]) == (1, 1)


# remembering


async def test_a_hammering_client_costs_no_writes(
    make_limiter: MakeLimiter, documents: MeteredDocuments, clock: Clock
) -> None:
    limiter = make_limiter(requests=2)
    await admit_many(limiter, 2)
    await refused(limiter)
    documents.reset()
    for _ in range(512):
        clock.now += 0.125
        error = await refused(limiter)
    assert documents.operations == Operations()
    assert error.headers["retry-after"] == "1"
    clock.now += 1
    await limiter.admit(ALICE, 1)


async def test_memory_states_each_sizes_own_wait(
    make_limiter: MakeLimiter, documents: MeteredDocuments, clock: Clock
) -> None:
    limiter = make_limiter(tokens=1000)
    await limiter.admit(ALICE, 400)
    clock.now += 20
    await limiter.admit(ALICE, 600)
    await refused(limiter, tokens=100)
    documents.reset()
    sizes = (100, 400, 401, 1000)
    waits = [(await refused(limiter, tokens=size)).headers["retry-after"] for size in sizes]
    assert waits == ["45", "45", "65", "65"]
    assert documents.operations == Operations()


async def test_a_smaller_request_passes_where_a_larger_one_is_remembered(
    make_limiter: MakeLimiter,
) -> None:
    limiter = make_limiter(tokens=1000)
    await limiter.admit(ALICE, 700)
    await refused(limiter, tokens=400)
    await limiter.admit(ALICE, 300)


async def test_another_subject_is_not_remembered(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter(requests=1)
    await limiter.admit(ALICE, 1)
    await refused(limiter)
    await limiter.admit("google:bob", 1)


async def test_returned_tokens_are_used_at_once(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter(tokens=1000)
    held = await limiter.admit(ALICE, 900)
    await refused(limiter, tokens=500)
    await limiter.settle(held, 100)
    await limiter.admit(ALICE, 500)


# the global limit


async def test_shards_grant_the_global_limit_together() -> None:
    assert Limits(global_requests_per_minute=10, global_shards=4).per_shard() == [3, 3, 2, 2]
    assert Limits(global_requests_per_minute=3, global_shards=8).per_shard() == [1, 1, 1]
    assert Limits(global_requests_per_minute=7, global_shards=0).per_shard() == [7]


async def test_the_global_limit_holds_over_subjects_and_shards(
    make_limiter: MakeLimiter, documents: MeteredDocuments
) -> None:
    limiter = make_limiter(service=10, shards=4)
    passed = 0
    for number in range(200):
        with contextlib.suppress(RateLimited):
            await limiter.admit(f"google:{number}", 1)
            passed += 1
    assert passed == 10
    documents.reset()
    error = await refused(limiter)
    assert (error.type, error.headers["retry-after"]) == ("requests", "65")
    assert "whole service" in error.message
    assert documents.operations == Operations()


async def test_one_full_shard_asks_for_a_short_wait_only(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter(service=4, shards=2)
    errors = []
    for number in range(40):
        try:
            await limiter.admit(f"google:{number}", 1)
        except RateLimited as error:
            errors.append(error.headers["retry-after"])
    assert len(errors) == 36
    assert errors[-1] == "65"
    assert set(errors) <= {"1", "65"}


# settling


async def test_the_settlement_belongs_in_the_turns_own_commit(
    make_limiter: MakeLimiter, documents: MeteredDocuments
) -> None:
    limiter = make_limiter(tokens=1000)
    held = await limiter.admit(ALICE, 300)
    (write,) = limiter.settlement(held, 120)
    await documents.commit(Set("owners/o", {}), write)
    assert await day_totals(documents, write.path) == (1, 120)
    assert (await limiter.admit(ALICE, 880)).headers()["x-ratelimit-remaining-tokens"] == "0"


async def test_an_upstream_error_returns_the_tokens_and_not_the_request(
    make_limiter: MakeLimiter, documents: MeteredDocuments
) -> None:
    limiter = make_limiter(requests=2, tokens=1000)
    held = await limiter.admit(ALICE, 1000)
    await limiter.settle(held, 0)
    assert await day_totals(documents, subject_path(limiter, held)) == (1, 0)
    headers = (await limiter.admit(ALICE, 1000)).headers()
    assert headers["x-ratelimit-remaining-requests"] == "0"


async def test_a_long_streams_rest_is_counted_when_it_ends(
    make_limiter: MakeLimiter, clock: Clock
) -> None:
    limiter = make_limiter(tokens=1000)
    held = await limiter.admit(ALICE, 300)
    clock.now += 300
    await limiter.settle(held, 1000)
    error = await refused(limiter, tokens=400)
    assert (error.headers["retry-after"], error.headers["x-ratelimit-remaining-tokens"]) == (
        "65",
        "300",
    )


async def test_a_stream_over_midnight_settles_on_the_right_days(
    make_limiter: MakeLimiter, clock: Clock
) -> None:
    clock.now += 43_190
    limiter = make_limiter(tokens=1000)
    more, less = await limiter.admit(ALICE, 100), await limiter.admit(ALICE, 100)
    clock.now += 20
    (rest,), (surplus,) = limiter.settlement(more, 150), limiter.settlement(less, 60)
    assert (rest.path.split("/")[1], dict(rest.amounts)) == ("2024-10-05", {"tokens": 50, "t2": 50})
    assert (surplus.path.split("/")[1], dict(surplus.amounts)) == (
        "2024-10-04",
        {"tokens": -40, "t17278": -40},
    )


async def test_an_exact_estimate_writes_nothing(
    make_limiter: MakeLimiter, documents: MeteredDocuments
) -> None:
    limiter = make_limiter(tokens=1000)
    held = await limiter.admit(ALICE, 300)
    documents.reset()
    assert limiter.settlement(held, 300) == []
    await limiter.settle(held, 300)
    assert documents.operations == Operations()


# a store that is away


@pytest.fixture
def away(tmp_path: Path) -> SqliteDocuments:
    return SqliteDocuments(str(tmp_path / "missing" / "documents.db"))


async def test_a_closed_limiter_lets_nothing_pass_unmetered(
    make_limiter: MakeLimiter, away: SqliteDocuments
) -> None:
    limiter = make_limiter(requests=60, store=away)
    with pytest.raises(Unavailable) as caught:
        await limiter.admit(ALICE, 1)
    assert (caught.value.status, caught.value.code) == (503, "limiter_unavailable")
    assert caught.value.headers["retry-after"] == "2"
    assert limiter.fail_opens == 0


async def test_an_open_limiter_counts_in_the_process(
    make_limiter: MakeLimiter,
    away: SqliteDocuments,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    limiter = make_limiter(requests=3, store=away, failure="open")
    await admit_many(limiter, 3)
    assert (await refused(limiter)).headers["retry-after"] == "65"
    assert limiter.fail_opens == 4
    assert caplog.messages[-1].startswith('{"event":"limiter_fail_open"')
    clock.now += 65
    await limiter.admit(ALICE, 1)


async def test_an_uncounted_request_settles_all_it_used(
    make_limiter: MakeLimiter, away: SqliteDocuments
) -> None:
    limiter = make_limiter(tokens=1000, store=away, failure="open")
    held = await limiter.admit(ALICE, 900)
    assert not held.counted
    (write,) = limiter.settlement(held, 200)
    assert dict(write.amounts) == {"tokens": 200, "t8640": 200}
    assert limiter.settlement(held, 0) == []


async def test_a_settlement_that_cannot_be_written_is_counted(
    make_limiter: MakeLimiter, away: SqliteDocuments
) -> None:
    limiter = make_limiter(tokens=1000, store=away)
    await limiter.settle(Reservation(ALICE, 900, 0.0), 100)
    assert limiter.lost_writes == 1


# several instances at once


async def rush(limiters: list[Limiter], times: int, tokens: int) -> tuple[int, int]:
    """How many of `times` requests per limiter pass and are refused, all at once."""
    outcomes = await asyncio.gather(
        *(limiter.admit(ALICE, tokens) for _ in range(times) for limiter in limiters),
        return_exceptions=True,
    )
    passed = sum(isinstance(outcome, Reservation) for outcome in outcomes)
    return passed, sum(isinstance(outcome, RateLimited) for outcome in outcomes)


@pytest.mark.parametrize("limits", [Limits(50, 0, 0), Limits(0, 5_099, 0), Limits(0, 0, 50, 1)])
@pytest.mark.parametrize("offset", [0, 43_201])
async def test_four_instances_admit_exactly_the_limit(
    tmp_path: Path, clock: Clock, limits: Limits, offset: int
) -> None:
    clock.now += offset
    stores = [SqliteDocuments(str(tmp_path / "documents.db")) for _ in range(4)]
    limiters = [Limiter(store, clock, limits, "closed", Random(1)) for store in stores]
    assert await rush(limiters, 25, tokens=100) == (50, 50)
    assert await rush(limiters, 5, tokens=100) == (0, 20)
    clock.now += 65
    assert await rush(limiters, 25, tokens=100) == (50, 50)
    for store in stores:
        await store.close()


async def test_a_rush_of_refused_requests_delays_nobody(
    make_limiter: MakeLimiter, clock: Clock
) -> None:
    limiter = make_limiter(requests=10)
    for _ in range(10):
        await limiter.admit(ALICE, 1)
        clock.now += 5
    outcomes = await asyncio.gather(
        *(limiter.admit(ALICE, 1) for _ in range(40)), return_exceptions=True
    )
    waits = {each.headers["retry-after"] for each in outcomes if isinstance(each, RateLimited)}
    assert waits == {"15"}
