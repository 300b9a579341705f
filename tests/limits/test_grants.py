"""Limits of single identities and of single keys, beside those of the settings."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import pytest

from gateway.accounts.allowance import NOTHING_SAID, Allowance
from gateway.accounts.key import ALL_SCOPES, Key, digest_of
from gateway.accounts.workspace import PERSONAL, digest
from gateway.documents.base import Create
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.documents.sqlite import SqliteDocuments
from gateway.errors import BadRequest, RateLimited, TooLarge, Unavailable
from gateway.limits import overrides as room
from gateway.limits.base import Limits, Spent
from gateway.limits.limiter import Limiter
from gateway.limits.overrides import FRESH_SECONDS, Overrides
from gateway.limits.report import Report
from gateway.limits.rollup import Rollup
from limits.clock import Clock
from support.stores import Opener

ALICE, BOB = "google:alice", "google:bob"
DAY = 86_400


def key(name: str, **said: float) -> Key:
    allowance = Allowance(**said)  # type: ignore[arg-type]  # ints among floats
    made = digest_of(name)
    return Key(made, name, "mk_12345", ALICE, PERSONAL, ALL_SCOPES, 0.0, allowance=allowance)


@pytest.fixture
async def documents(open_documents: Opener) -> AsyncIterator[MeteredDocuments]:
    """Of either kind."""
    opened = open_documents()
    yield opened
    await opened.close()


@pytest.fixture
def overrides(documents: MeteredDocuments, clock: Clock) -> Overrides:
    return Overrides(documents, clock, Random(7))


@pytest.fixture
def limiter(documents: MeteredDocuments, clock: Clock, overrides: Overrides) -> Limiter:
    return Limiter(documents, clock, Limits(3, 1_000, 0), "closed", Random(7), overrides)


async def passes(limiter: Limiter, subject: str = ALICE, made: Key | None = None) -> int:
    """How many requests of ten tokens are let through."""
    count = 0
    try:
        while count < 100:
            await limiter.admit(subject, 10, made)
            count += 1
    except RateLimited:
        pass
    return count


# keys


async def test_ten_keys_are_not_ten_times_the_limit(limiter: Limiter) -> None:
    passed = [await passes(limiter, ALICE, key(f"k{n}")) for n in range(10)]
    assert passed == [3] + [0] * 9
    assert await passes(limiter, BOB) == 3


async def test_a_key_without_limits_costs_no_write_more(
    limiter: Limiter, documents: MeteredDocuments
) -> None:
    await limiter.admit(BOB, 1)
    documents.reset()
    held = await limiter.admit(ALICE, 10, key("plain"))
    await limiter.settle(held, 20)
    assert documents.operations == Operations(writes=2)


async def test_a_keys_own_limit_holds_beside_its_persons(
    limiter: Limiter, documents: MeteredDocuments
) -> None:
    own = key("own", requests_per_minute=2)
    held = await limiter.admit(ALICE, 10, own)
    assert held.headers()["x-ratelimit-limit-requests"] == "2"
    assert held.headers()["x-ratelimit-remaining-requests"] == "1"
    assert await passes(limiter, ALICE, own) == 1
    with pytest.raises(RateLimited, match="of this API key"):
        await limiter.admit(ALICE, 10, own)
    assert await passes(limiter, ALICE) == 1  # the refused ones left nothing behind
    assert await passes(limiter, ALICE, key("other", requests_per_minute=2)) == 0


async def test_a_keys_budget_is_settled_with_its_persons(
    limiter: Limiter, documents: MeteredDocuments
) -> None:
    own = key("own", daily_tokens=100)
    held = await limiter.admit(ALICE, 90, own)
    assert held.headers()["x-budget-warning"] == "daily_tokens 90%"
    with pytest.raises(RateLimited) as caught:
        await limiter.admit(ALICE, 20, own)
    assert caught.value.code == "insufficient_quota"
    await limiter.settle(held, 30, Spent(answered=True))
    await limiter.admit(ALICE, 70, own)
    for place in ("subjects", "keys"):
        (found,) = await documents.list(f"limits/2024-10-04/{place}")
        assert (found.fields["tokens"], found.fields["answers"]) == (100, 1)


async def test_what_is_larger_than_a_keys_minute_is_too_large(limiter: Limiter) -> None:
    own = key("own", tokens_per_minute=50)
    assert limiter.tokens_per_minute(ALICE, own) == 50
    assert limiter.tokens_per_minute(ALICE) == 1_000
    with pytest.raises(TooLarge):
        limiter.refuse_known(ALICE, 51, own)
    with pytest.raises(TooLarge):
        await limiter.admit(ALICE, 51, own)


async def test_a_keys_days_are_rolled_up_beside_its_persons(
    limiter: Limiter, documents: MeteredDocuments, clock: Clock
) -> None:
    own = key("own", monthly_tokens=100)
    await limiter.admit(ALICE, 60, own)
    clock.now += DAY
    rolled = await Rollup(documents, clock.now, lambda: False).run()
    assert rolled.subjects == 1
    (found,) = await documents.list("usage/2024-10-04/keys")
    assert (found.id, found.fields["tokens"]) == (own.id, 60)
    clock.now += 2 * DAY
    await Rollup(documents, clock.now, lambda: False).run()
    assert await documents.list("limits/2024-10-04/keys") == []
    clock.now += 600
    with pytest.raises(RateLimited):
        await limiter.admit(ALICE, 41, own)
    await limiter.admit(ALICE, 40, own)


# identities


async def test_an_identity_is_allowed_more_or_less_within_a_minute(
    limiter: Limiter, overrides: Overrides, documents: MeteredDocuments, clock: Clock
) -> None:
    elsewhere = Overrides(documents, clock, Random(8))
    assert await passes(limiter) == 3
    await elsewhere.set(digest(ALICE), Allowance(requests_per_minute=5))
    await elsewhere.set(digest(BOB), Allowance(requests_per_minute=1))
    clock.now += FRESH_SECONDS + 5
    assert (await passes(limiter), await passes(limiter, BOB)) == (5, 1)
    assert await elsewhere.delete(digest(ALICE))
    assert not await elsewhere.delete(digest(ALICE))
    clock.now += FRESH_SECONDS + 5
    assert (await passes(limiter), await passes(limiter, BOB)) == (3, 1)


async def test_zero_frees_an_identity(limiter: Limiter, overrides: Overrides) -> None:
    said = Allowance(requests_per_minute=0, tokens_per_minute=0)
    await overrides.set(digest(ALICE), said)
    assert await passes(limiter) == 100


async def test_an_instance_reads_them_once_a_minute_for_everybody(
    limiter: Limiter, documents: MeteredDocuments, clock: Clock
) -> None:
    await asyncio.gather(*(limiter.admit(f"google:{n}", 1) for n in range(20)))
    assert documents.reset() == Operations(reads=1, writes=20)
    clock.now += FRESH_SECONDS - 1
    await limiter.admit(ALICE, 1)
    assert documents.reset() == Operations(writes=1)
    clock.now += 1
    await limiter.admit(ALICE, 1)
    assert documents.reset() == Operations(reads=1, writes=1)


async def test_changes_at_once_are_all_kept(
    overrides: Overrides, documents: MeteredDocuments, clock: Clock
) -> None:
    writers = [Overrides(documents, clock, Random(n)) for n in range(4)]
    await asyncio.gather(
        *(one.set(digest(f"s{n}"), Allowance(daily_tokens=n)) for n, one in enumerate(writers))
    )
    found = [await overrides.of(digest(f"s{n}")) for n in range(4)]
    assert found == [Allowance(daily_tokens=n) for n in range(4)]


async def test_what_goes_beside_is_in_the_same_commit(
    overrides: Overrides, documents: MeteredDocuments
) -> None:
    await overrides.set(digest(ALICE), NOTHING_SAID, Create("audit/1", {}))
    assert not await overrides.delete(digest(BOB), Create("audit/2", {}))
    assert len(await documents.list("audit")) == 2


async def test_there_are_so_many_at_most(
    overrides: Overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_OVERRIDES", 2)
    for subject in ("a", "b", "b"):
        await overrides.set(digest(subject), NOTHING_SAID)
    with pytest.raises(BadRequest):
        await overrides.set(digest("c"), NOTHING_SAID)


def test_two_thousand_overrides_fit_a_document() -> None:
    """Firestore's limit is a megabyte."""
    everything = Allowance(10**12, 10**12, 10**12, 10**12, 123_456_789.123, 123_456_789.123)
    packed = room._packed({digest(str(n)): everything for n in range(room.MOST_OVERRIDES)})
    assert len(packed["identities"]) < 900 * 1024


async def test_a_store_that_is_away_fails_as_the_limiter_is_told_to(
    tmp_path: Path, clock: Clock
) -> None:
    away = SqliteDocuments(str(tmp_path / "missing" / "documents.db"))
    overrides = Overrides(away, clock, Random(7))
    limits = Limits(3, 0, 0, monthly_token_budget=100)
    closed = Limiter(away, clock, limits, "closed", Random(7), overrides)
    with pytest.raises(Unavailable) as caught:
        await closed.admit(ALICE, 1)
    assert caught.value.code == "limiter_unavailable"
    opened = Limiter(away, clock, limits, "open", Random(7), overrides)
    assert await passes(opened) == 3


# what is left


async def test_a_report_reads_a_document_a_day_and_tells_what_is_left(
    documents: MeteredDocuments, clock: Clock
) -> None:
    limits = Limits(3, 1_000, 0, daily_token_budget=500, daily_cost_budget_usd=1.0)
    limiter = Limiter(documents, clock, limits, "closed", Random(7))
    await limiter.admit(ALICE, 100)
    clock.now += DAY
    held = await limiter.admit(ALICE, 200, None, 10)
    await limiter.settle(held, 150, Spent(400, 100, 50, True, True, 250_000, 90))
    await limiter.history.days("subjects/a", [1])  # how far the roll-up has come is known
    documents.reset()
    used = await Report(limiter, clock).of(ALICE, 30)
    assert documents.operations == Operations(reads=30)
    assert list(used.days)[::29] == ["2024-09-06", "2024-10-05"]
    assert [totals.tokens for totals in used.days.values() if totals] == [100, 150]
    assert used.days["2024-10-05"].told()["cost_usd"] == 0.25
    assert used.limits == {
        "requests_per_minute": {"limit": 3, "remaining": 2},
        "tokens_per_minute": {"limit": 1_000, "remaining": 850},
        "daily_token_budget": {"limit": 500, "remaining": 350},
        "monthly_token_budget": {"limit": 0, "remaining": None},
        "daily_cost_budget_usd": {"limit": 1.0, "remaining": 0.75},
        "monthly_cost_budget_usd": {"limit": 0, "remaining": None},
    }


async def test_a_report_of_somebody_new_is_empty(
    make_limiter: Callable[..., Limiter], clock: Clock
) -> None:
    used = await Report(make_limiter(), clock).of("google:new", 2)
    assert not any(used.days.values())
    assert {one["remaining"] for one in used.limits.values()} == {None}
