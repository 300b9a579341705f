"""A store, a clock, and limiters over them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Literal

import pytest

from gateway.documents.base import Documents
from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter
from limits.clock import Clock

NOON = 20_000 * 86_400 + 43_200


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[MeteredDocuments]:
    opened = MeteredDocuments(SqliteDocuments(str(tmp_path / "documents.db")))
    yield opened
    await opened.close()


@pytest.fixture
def make_limiter(documents: MeteredDocuments, clock: Clock) -> Callable[..., Limiter]:
    """What is left out is unlimited."""

    def make(
        *,
        requests: int = 0,
        tokens: int = 0,
        service: int = 0,
        shards: int = 1,
        budget: int = 0,
        failure: Literal["closed", "open"] = "closed",
        store: Documents = documents,
    ) -> Limiter:
        limits = Limits(requests, tokens, service, shards, budget)
        return Limiter(store, clock, limits, failure, Random(7))

    return make
