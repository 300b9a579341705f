"""A tier on loopback, and its ranker."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from gateway.retrieval.remote import RemoteOptions, RemoteRanker
from gateway.retrieval.tier import Tier
from gateway.upstream.openai import make_client
from retrieval.asked import KEY, SECRET, Clock, Make
from support.retriever import LoopbackRetriever


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retriever() -> Iterator[LoopbackRetriever]:
    with LoopbackRetriever(attends_to="Rex") as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client() as made:
        yield made


@pytest.fixture
def make(retriever: LoopbackRetriever, client: httpx.AsyncClient, clock: Clock) -> Make:
    def made(url: str = "", **options: Any) -> RemoteRanker:
        tier = Tier(url or retriever.origin, client, KEY, SECRET)
        return RemoteRanker(tier, RemoteOptions(**{"small_tokens": 0, **options}), clock)

    return made
