"""Limits hold over processes: together they use them up to the last unit and not beyond."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

import pytest

from gateway.accounts.allowance import Allowance
from gateway.accounts.key import ALL_SCOPES, Key, digest_of
from gateway.accounts.workspace import PERSONAL
from gateway.documents.sqlite import SqliteDocuments
from gateway.errors import RateLimited
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter

NOON = 20_000 * 86_400 + 43_200.0
PROCESSES, REQUESTS = 4, 60
ALICE = "google:alice"
KEY = Key(
    digest_of("k"),
    "k",
    "mk_12345",
    ALICE,
    PERSONAL,
    ALL_SCOPES,
    0.0,
    allowance=Allowance(daily_tokens=1_000),
)
BUDGETS = {
    "daily tokens": (Limits(0, 0, 0, daily_token_budget=1_000), None),
    "monthly tokens": (Limits(0, 0, 0, monthly_token_budget=1_000), None),
    "daily money": (Limits(0, 0, 0, daily_cost_budget_usd=0.01), None),
    "monthly money": (Limits(0, 0, 0, monthly_cost_budget_usd=0.01), None),
    "a key's tokens": (Limits(0, 0, 0), KEY),
}


def admitted(file: str, name: str, seed: int) -> int:
    """Of requests for a hundredth of the budget each, one process."""
    return asyncio.run(_admitted(file, *BUDGETS[name], seed))


async def _admitted(file: str, limits: Limits, key: Key | None, seed: int) -> int:
    documents = SqliteDocuments(file)
    limiter = Limiter(documents, lambda: NOON, limits, "closed", Random(seed))
    passed = 0
    for _ in range(REQUESTS):
        try:
            await limiter.admit(ALICE, 10, key, 100)
            passed += 1
        except RateLimited as refused:
            if refused.code != "insufficient_quota":
                raise
    await documents.close()
    return passed


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as opened:
        yield opened


@pytest.mark.parametrize("name", BUDGETS)
def test_four_processes_spend_a_budget_to_the_last_unit(
    tmp_path: Path, pool: ProcessPoolExecutor, name: str
) -> None:
    file = str(tmp_path / "documents.db")
    passed = [pool.submit(admitted, file, name, seed) for seed in range(PROCESSES)]
    assert sum(one.result() for one in passed) == 100


def let_in(file: str, shards: int, seed: int) -> int:
    """Of one person's requests, for a hundred a minute of the whole service."""
    return asyncio.run(_let_in(file, Limits(0, 0, 100, shards), seed))


async def _let_in(file: str, limits: Limits, seed: int) -> int:
    documents = SqliteDocuments(file)
    limiter = Limiter(documents, lambda: NOON, limits, "closed", Random(seed))
    passed = 0
    for _ in range(REQUESTS):
        try:
            await limiter.admit(f"google:{seed}", 10)
            passed += 1
        except RateLimited as refused:
            if refused.code != "rate_limit_exceeded":
                raise
    await documents.close()
    return passed


@pytest.mark.parametrize("shards", [1, 4])
def test_four_processes_share_the_minute_of_the_whole_service(
    tmp_path: Path, pool: ProcessPoolExecutor, shards: int
) -> None:
    file = str(tmp_path / "documents.db")
    passed = [pool.submit(let_in, file, shards, seed) for seed in range(PROCESSES)]
    assert sum(one.result() for one in passed) == 100
