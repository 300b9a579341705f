"""Over midnight on Firestore: the window spans two days' documents, for two instances at once."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from gateway.documents.base import Fields
from gateway.documents.firestore import FirestoreDocuments
from gateway.errors import RateLimited
from gateway.limits.base import Limits, Reservation
from gateway.limits.limiter import Limiter
from limits.clock import Clock
from support.emulator import Emulator

ALICE = "google:alice"
MIDNIGHT = 20_001 * 86_400
EVE, MORROW = "2024-10-04", "2024-10-05"
PATIENCE_SECONDS = 20.0


@pytest.fixture
def clock() -> Clock:
    return Clock(MIDNIGHT - 2)


@pytest.fixture
async def documents(emulator: Emulator, project: str) -> AsyncIterator[FirestoreDocuments]:
    opened = FirestoreDocuments(project, emulator_host=emulator.host, hot_seconds=PATIENCE_SECONDS)
    yield opened
    await opened.close()


def instances(documents: FirestoreDocuments, clock: Clock, limits: Limits) -> list[Limiter]:
    return [Limiter(documents, clock, limits, "closed", Random(seed)) for seed in range(2)]


async def rush(limiters: list[Limiter], each: int, tokens: int = 0) -> tuple[int, int]:
    """How many pass and how many are refused, all of them at once."""
    outcomes = await asyncio.gather(
        *(limiter.admit(ALICE, tokens) for _ in range(each) for limiter in limiters),
        return_exceptions=True,
    )
    passed = sum(isinstance(outcome, Reservation) for outcome in outcomes)
    return passed, sum(isinstance(outcome, RateLimited) for outcome in outcomes)


async def day(documents: FirestoreDocuments, name: str) -> Fields:
    (found,) = await documents.list(f"limits/{name}/subjects")
    return found.fields


@pytest.mark.parametrize(
    ("limits", "tokens"), [(Limits(50, 0, 0), 1), (Limits(0, 5_099, 0), 100)], ids=["RPM", "TPM"]
)
async def test_the_window_holds_what_was_admitted_before_midnight(
    documents: FirestoreDocuments, clock: Clock, limits: Limits, tokens: int
) -> None:
    limiters = instances(documents, clock, limits)
    assert await rush(limiters, 15, tokens) == (30, 0)
    clock.now = MIDNIGHT + 1
    assert await rush(limiters, 20, tokens) == (20, 20)
    assert (await day(documents, EVE))["requests"] == 30
    assert (await day(documents, MORROW))["requests"] == 20
    clock.now = MIDNIGHT + 60 + 2  # what came before midnight has left, what came after has not
    assert await rush(limiters, 20, tokens) == (30, 10)
    assert (await day(documents, EVE))["requests"] == 30
    assert (await day(documents, MORROW))["requests"] == 50


async def test_instances_on_either_side_of_midnight_share_the_window(
    documents: FirestoreDocuments, clock: Clock
) -> None:
    """One clock is two seconds behind; its requests count on the eve and are seen all the same."""
    ahead = Clock(MIDNIGHT + 1)
    limits = Limits(50, 0, 0)
    limiters = [
        Limiter(documents, each, limits, "closed", Random(seed))
        for seed, each in enumerate((clock, ahead))
    ]
    assert await rush(limiters, 40) == (50, 30)
    eve, morrow = await day(documents, EVE), await day(documents, MORROW)
    assert eve["requests"] + morrow["requests"] == 50


async def test_a_turn_over_midnight_returns_its_surplus_to_the_eve(
    documents: FirestoreDocuments, clock: Clock
) -> None:
    (limiter, other) = instances(documents, clock, Limits(0, 1_000, 0))
    less, more = await limiter.admit(ALICE, 500), await limiter.admit(ALICE, 200)
    clock.now = MIDNIGHT + 1
    await limiter.settle(less, 100)
    await limiter.settle(more, 300)
    assert (await day(documents, EVE))["tokens"] == 100 + 200
    assert (await day(documents, MORROW))["tokens"] == 100
    assert await rush([other], 1, 601) == (0, 1)
    assert await rush([other], 1, 600) == (1, 0)


async def test_a_spent_day_ends_at_midnight(documents: FirestoreDocuments, clock: Clock) -> None:
    limiters = instances(documents, clock, Limits(0, 0, 0, daily_token_budget=1_000))
    assert await rush(limiters, 10, 100) == (10, 10)
    clock.now = MIDNIGHT + 1
    assert await rush(limiters, 10, 100) == (10, 10)
    assert (
        (await day(documents, EVE))["tokens"] == (await day(documents, MORROW))["tokens"] == 1_000
    )
