"""The response cache: its time, and what a store that is shared or away makes of it."""

from typing import Any

import orjson

from gateway.chat.caching import ResponseCache
from gateway.chat.wire import parse_chat
from gateway.documents.base import StoreUnavailable
from gateway.documents.metered import MeteredDocuments
from gateway.identity.base import Identity
from gateway.upstream.base import WholeResponse
from limits.clock import Clock
from support.upstream import completion

ALICE = Identity("key:alice", "key:alice")
REQUEST = parse_chat(b'{"model": "m", "temperature": 0, "messages": [{"role": "user"}]}')
WHOLE = orjson.dumps(completion("Four."))


def told() -> WholeResponse:
    """An upstream's answer."""
    return WholeResponse(WHOLE, {"content-type": "application/json"})


async def switched_on(_: str) -> bool:
    return True


async def asked(cache: ResponseCache) -> str:
    looked = await cache.look(ALICE, REQUEST, "on", None)
    if looked.answer is None:
        await cache.keeping(told(), looked.place).read()
    return looked.headers["x-cache"]


async def test_its_time_is_over_whatever_the_store_still_holds(
    documents: MeteredDocuments,
) -> None:
    clock = Clock(1_000.0)
    cache = ResponseCache(documents, switched_on, 300.0, clock)
    assert [await asked(cache) for _ in range(2)] == ["miss", "hit"]
    clock.now += 299.0
    assert await asked(cache) == "hit"
    clock.now += 1.0
    assert [await asked(cache) for _ in range(2)] == ["miss", "hit"]
    assert (cache.hits, cache.misses) == (3, 2)


async def test_two_at_once_ask_twice_and_keep_one(documents: MeteredDocuments) -> None:
    cache = ResponseCache(documents, switched_on, 300.0, Clock(0.0))
    first = await cache.look(ALICE, REQUEST, "on", None)
    second = await cache.look(ALICE, REQUEST, "on", None)
    for looked in (first, second):
        assert await cache.keeping(told(), looked.place).read() == WHOLE
    assert await asked(cache) == "hit"


async def test_a_store_that_is_away_is_a_miss(documents: MeteredDocuments) -> None:
    class Away(MeteredDocuments):
        async def get(self, *paths: str) -> Any:
            raise StoreUnavailable

    cache = ResponseCache(Away(documents), switched_on, 300.0, Clock(0.0))
    assert [await asked(cache) for _ in range(2)] == ["miss", "miss"]


async def test_where_it_is_switched_off_nothing_is_read_or_kept(
    documents: MeteredDocuments,
) -> None:
    async def bobs_alone(owner: str) -> bool:
        return owner != ALICE.owner

    cache = ResponseCache(documents, bobs_alone, 300.0, Clock(0.0))
    before = documents.operations
    looked = await cache.look(ALICE, REQUEST, "on", None)
    assert (looked.answer, looked.place, dict(looked.headers)) == (None, None, {})
    assert documents.operations == before
