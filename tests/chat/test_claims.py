"""Idempotency keys whose holders die, come late, or cannot reach the store."""

import pytest

from gateway.chat.claims import IN_FLIGHT_SECONDS, Claim, Claims, StoredAnswer
from gateway.documents.base import StoreUnavailable
from gateway.errors import Contested
from limits.clock import Clock
from support.memories import ALICE
from support.outages import Unreliable

ANSWER = StoredAnswer(200, {"content-type": "application/json"}, b"{}")


@pytest.fixture
def claims(store: Unreliable, clock: Clock) -> Claims:
    return Claims(store, clock)


async def taken(claims: Claims) -> Claim:
    claim = await claims.take(ALICE, "k1", b"{}")
    assert isinstance(claim, Claim)
    return claim


async def test_a_claim_is_taken_over_from_who_died(claims: Claims, clock: Clock) -> None:
    await taken(claims)
    clock.now += IN_FLIGHT_SECONDS - 1
    with pytest.raises(Contested):
        await taken(claims)
    clock.now += 1
    await taken(claims)


async def test_who_comes_back_late_neither_frees_nor_answers_anothers_claim(
    claims: Claims, clock: Clock
) -> None:
    late = await taken(claims)
    clock.now += IN_FLIGHT_SECONDS
    current = await taken(claims)
    await claims.release(late)
    await claims.keep(late, ANSWER)
    with pytest.raises(Contested):
        await taken(claims)
    await claims.keep(current, ANSWER)
    assert await claims.take(ALICE, "k1", b"{}") == ANSWER


async def test_nothing_is_claimed_while_the_store_is_away(
    claims: Claims, store: Unreliable
) -> None:
    store.away = True
    with pytest.raises(StoreUnavailable):
        await taken(claims)


async def test_a_store_that_is_away_at_the_end_leaves_the_key_claimed(
    claims: Claims, store: Unreliable, clock: Clock
) -> None:
    """The request's own end, good or bad, is what its client hears of."""
    claim = await taken(claims)
    store.away = True
    await claims.keep(claim, ANSWER)
    await claims.release(claim)
    store.away = False
    with pytest.raises(Contested):
        await taken(claims)
    clock.now += IN_FLIGHT_SECONDS
    await taken(claims)
