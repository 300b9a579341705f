"""A clock that is set back or forward: nobody is locked out for as long, and no limit is lifted."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import httpx
import pytest

from gateway.documents.sqlite import SqliteDocuments
from gateway.errors import RateLimited, Unavailable
from gateway.identity.google import CertificateSource
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter
from gateway.limits.window import DAY_SECONDS
from limits.clock import Clock
from support.certificates import CertificateServer, make_key

NOON = 20_000 * DAY_SECONDS + DAY_SECONDS / 2
ALICE = "google:alice"
LIMIT = 5
HOUR = 3600.0


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[SqliteDocuments]:
    opened = SqliteDocuments(str(tmp_path / "documents.db"))
    yield opened
    await opened.close()


async def admitted(limiter: Limiter) -> int:
    """How many of twice the limit pass now."""
    passed = 0
    for _ in range(2 * LIMIT):
        try:
            await limiter.admit(ALICE, 0)
        except RateLimited:
            continue
        passed += 1
    return passed


@pytest.mark.parametrize("jump", [-HOUR, HOUR, -2 * DAY_SECONDS, 2 * DAY_SECONDS])
async def test_a_jump_gives_one_window_and_no_more(documents: SqliteDocuments, jump: float) -> None:
    clock = Clock(NOON)
    limiter = Limiter(documents, clock, Limits(LIMIT, 0, 0), "closed", Random(7))
    assert await admitted(limiter) == LIMIT
    clock.now += jump
    assert await admitted(limiter) == LIMIT
    clock.now -= jump
    assert await admitted(limiter) == 0


@pytest.mark.parametrize("step", [-4.0, -1.0, 1.0, 4.0])
async def test_a_step_of_some_seconds_gives_nothing(
    documents: SqliteDocuments, step: float
) -> None:
    clock = Clock(NOON + 2.5)
    limiter = Limiter(documents, clock, Limits(LIMIT, 0, 0), "closed", Random(7))
    assert await admitted(limiter) == LIMIT
    clock.now += step
    assert await admitted(limiter) == 0


async def test_certificates_are_asked_for_again_after_the_clock_was_set_back() -> None:
    key, clock = make_key("first"), Clock(NOON)
    with CertificateServer(key) as server:
        server.status = 500
        async with httpx.AsyncClient(trust_env=False) as client:
            source = CertificateSource(client, server.url, clock)
            with pytest.raises(Unavailable):
                await source.verifier(key.kid)
            clock.now -= HOUR
            server.status = 200
            assert await source.verifier(key.kid) is not None
