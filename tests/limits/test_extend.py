"""Holding more tokens when a prompt has outgrown its bound."""

from collections.abc import Callable

import pytest

from gateway.documents.metered import MeteredDocuments
from gateway.errors import RateLimited, TooLarge
from gateway.limits.limiter import Limiter
from support.outages import Unreliable


async def test_what_is_held_later_counts_like_what_was_held_at_first(
    make_limiter: Callable[..., Limiter],
) -> None:
    limiter = make_limiter(tokens=1_000)
    held = await limiter.extend(await limiter.admit("alice", 100), 700)
    assert held.tokens == 700
    with pytest.raises(RateLimited):
        await limiter.admit("alice", 400)
    await limiter.settle(held, 100)
    await limiter.admit("alice", 400)


async def test_what_does_not_fit_is_refused_and_leaves_the_first_part_held(
    make_limiter: Callable[..., Limiter],
) -> None:
    limiter = make_limiter(tokens=1_000)
    first = await limiter.admit("alice", 600)
    second = await limiter.admit("alice", 100)
    with pytest.raises(RateLimited):
        await limiter.extend(second, 500)
    with pytest.raises(TooLarge):
        await limiter.extend(second, 1_001)
    await limiter.settle(first, 0)
    assert (await limiter.extend(second, 900)).tokens == 900


async def test_it_costs_no_request(make_limiter: Callable[..., Limiter]) -> None:
    limiter = make_limiter(requests=2, tokens=1_000)
    await limiter.extend(await limiter.admit("alice", 10), 20)
    await limiter.admit("alice", 10)
    with pytest.raises(RateLimited):
        await limiter.admit("alice", 10)


async def test_less_than_is_held_writes_nothing(make_limiter: Callable[..., Limiter]) -> None:
    limiter = make_limiter(tokens=1_000)
    held = await limiter.admit("alice", 500)
    assert (await limiter.extend(held, 300)).tokens == 500


async def test_what_the_store_never_counted_is_not_returned_to_it(
    make_limiter: Callable[..., Limiter], documents: MeteredDocuments
) -> None:
    store = Unreliable(documents)
    limiter = make_limiter(tokens=1_000, failure="open", store=store)
    await limiter.admit("alice", 500)
    held = await limiter.admit("alice", 100)
    store.away = True
    held = await limiter.extend(held, 400)
    store.away = False
    await limiter.settle(held, 0)
    left = (await limiter.admit("alice", 1)).headers()["x-ratelimit-remaining-tokens"]
    assert left == "499"
