"""Budgets of a day and a month, in tokens and in money: held, settled, warned of, refused."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents.base import Set
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.errors import RateLimited
from gateway.limits.base import Limits, Spent
from gateway.limits.budgets import Budget, Name, warning
from gateway.limits.limiter import Limiter
from gateway.limits.rollup import PROGRESS_PATH
from gateway.limits.window import (
    DAY_SECONDS,
    Contents,
    Dimension,
    Usage,
    first_of_month,
    seconds_to_month_end,
)
from limits.clock import Clock

ALICE = "google:alice"
NAME = "jelkf4u6dsutqviywcxorz3jkgvftvscir6zilulhihsyzgsvp6a"
EMPTY: dict[Dimension, Contents] = {"requests": Contents(), "tokens": Contents()}
TODAY = "2024-10-04"


@pytest.fixture
def limiter(documents: MeteredDocuments, clock: Clock) -> Callable[..., Limiter]:
    def make(**limits: float) -> Limiter:
        unlimited = {"requests_per_minute": 0, "tokens_per_minute": 0}
        granted = Limits(**{**unlimited, "global_requests_per_minute": 0, **limits})  # type: ignore[arg-type]  # ints among floats
        return Limiter(documents, clock, granted, "closed", Random(7))

    return make


async def refused(limiter: Limiter, tokens: int = 0, cost: int = 0) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await limiter.admit(ALICE, tokens, None, cost)
    assert (caught.value.status, caught.value.code) == (429, "insufficient_quota")
    return caught.value


# pure


@given(st.integers(0, 60_000 * DAY_SECONDS))
def test_a_month_ends_when_the_calendar_says(now: int) -> None:
    at = datetime.fromtimestamp(now, UTC)
    day = now // DAY_SECONDS
    assert first_of_month(day) == day - at.day + 1
    end = datetime.fromtimestamp(now + seconds_to_month_end(now), UTC)
    assert (end.day, end.hour, end.minute, end.second) == (1, 0, 0, 0)
    assert (end.year * 12 + end.month) - (at.year * 12 + at.month) == 1


NAMES: tuple[Name, ...] = ("daily_tokens", "monthly_tokens", "daily_cost_usd", "monthly_cost_usd")


@given(
    st.sampled_from(NAMES),
    st.integers(1, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.floats(0.01, 1),
)
def test_a_warning_comes_with_its_share_of_the_budget(
    name: Name, limit: int, before: int, today: int, share: float
) -> None:
    budget = Budget(name, limit, before)
    used = before + today
    told = warning([budget], Usage(0.0, EMPTY, {budget.total: today}), 0.0, share)
    assert bool(told) == (used >= share * limit)
    if told:
        assert told == f"{name} {math.floor(100 * used / limit)}%"


def test_yesterdays_total_is_not_todays() -> None:
    budget = Budget("daily_cost_usd", 100)
    usage = Usage(0.0, EMPTY, {"cost": 60})
    assert (budget.used(usage, 10.0), budget.used(usage, DAY_SECONDS)) == (60, 0)


# money


async def test_money_is_held_with_the_request_and_costs_no_write_more(
    limiter: Callable[..., Limiter], documents: MeteredDocuments
) -> None:
    priced = limiter(daily_cost_budget_usd=1.0)
    held = await priced.admit(ALICE, 10, None, 600_000)
    assert documents.operations == Operations(writes=1)
    error = await refused(priced, 10, 400_001)
    assert error.message.startswith(
        "You exceeded your daily budget in US dollars: Limit $1.0000, Used $0.6000,"
        " Requested $0.4000."
    )
    assert error.headers["retry-after"] == str(43_200)
    await priced.settle(held, 10, Spent(cost=100_000))
    await priced.admit(ALICE, 10, None, 900_000)
    await refused(priced, 10, 1)
    await priced.admit(ALICE, 10)  # what costs nothing passes


async def test_an_upstream_error_returns_the_money(
    limiter: Callable[..., Limiter], documents: MeteredDocuments
) -> None:
    priced = limiter(daily_cost_budget_usd=1.0)
    held = await priced.admit(ALICE, 10, None, 1_000_000)
    await priced.settle(held, 0)
    assert (await day(documents))["cost"] == 0
    await priced.admit(ALICE, 10, None, 1_000_000)


async def test_a_prompt_that_outgrew_its_bound_holds_more_money(
    limiter: Callable[..., Limiter], documents: MeteredDocuments
) -> None:
    priced = limiter(daily_cost_budget_usd=1.0)
    held = await priced.admit(ALICE, 10, None, 400_000)
    held = await priced.extend(held, 20, 900_000)
    assert (await day(documents))["cost"] == held.cost == 900_000
    with pytest.raises(RateLimited):
        await priced.extend(held, 30, 1_000_001)
    assert (await day(documents))["cost"] == 900_000
    await priced.settle(held, 5, Spent(cost=50))
    assert (await day(documents))["cost"] == 50


async def test_what_a_turn_used_rides_in_its_settlement(
    limiter: Callable[..., Limiter], documents: MeteredDocuments
) -> None:
    plain = limiter()
    spent = Spent(900, 300, 50, answered=True, with_memory=True, cost=1_200, cost_saved=-7)
    held = await plain.admit(ALICE, 350)
    documents.reset()
    await plain.settle(held, 350, spent)
    assert documents.operations == Operations(writes=1)
    fields = await day(documents)
    assert {name: fields[name] for name in ("requests", "tokens", "before", "after")} == {
        "requests": 1,
        "tokens": 350,
        "before": 900,
        "after": 300,
    }
    assert [fields[name] for name in ("completion", "answers", "memories")] == [50, 1, 1]
    assert [fields[name] for name in ("cost", "cost_saved", "priced")] == [1_200, -7, 1]


async def day(documents: MeteredDocuments, name: str = TODAY) -> dict[str, float]:
    (found,) = await documents.list(f"limits/{name}/subjects")
    return dict(found.fields)


# warnings


async def test_the_header_warns_from_four_fifths_on(limiter: Callable[..., Limiter]) -> None:
    warned = limiter(daily_token_budget=1_000, daily_cost_budget_usd=1.0)
    assert "x-budget-warning" not in (await warned.admit(ALICE, 799, None, 10)).headers()
    told = (await warned.admit(ALICE, 51, None, 10)).headers()
    assert told["x-budget-warning"] == "daily_tokens 85%"
    told = (await warned.admit(ALICE, 150, None, 899_980)).headers()
    assert told["x-budget-warning"] == "daily_tokens 100%, daily_cost_usd 90%"
    assert (await refused(warned, 1)).headers["x-budget-warning"].startswith("daily_tokens 100%")


# months


async def used(documents: MeteredDocuments, day: str, tokens: int, cost: int = 0) -> None:
    fields = {"requests": 1, "tokens": tokens, "cost": cost}
    await documents.commit(Set(f"usage/{day}/subjects/{NAME}", fields))


async def rolled(documents: MeteredDocuments, day: int) -> None:
    await documents.commit(
        Set(PROGRESS_PATH, {"schema": 1, "rolled": day, "cleared": 0, "after": None})
    )


async def test_a_month_is_its_earlier_days_and_today(
    limiter: Callable[..., Limiter], documents: MeteredDocuments, clock: Clock
) -> None:
    await used(documents, "2024-09-30", 5_000)  # last month's
    await used(documents, "2024-10-01", 300)
    await used(documents, "2024-10-02", 200)
    await documents.commit(
        Set(f"limits/2024-10-03/subjects/{NAME}", {"tokens": 100, "t5": 100, "requests": 1})
    )
    await rolled(documents, 19_998)  # 2024-10-02
    monthly = limiter(monthly_token_budget=1_000)
    documents.reset()
    await monthly.admit(ALICE, 400)
    assert documents.reset() == Operations(reads=1 + 3, writes=1)
    error = await refused(monthly, 1)
    assert error.message.startswith(
        "You exceeded your monthly token budget: Limit 1000, Used 1000, Requested 1."
    )
    assert int(error.headers["retry-after"]) == 28 * DAY_SECONDS - 43_200
    assert documents.operations.reads == 0  # once a day


async def test_a_months_money_counts_like_its_tokens(
    limiter: Callable[..., Limiter], documents: MeteredDocuments
) -> None:
    await used(documents, "2024-10-01", 1, 700_000)
    await rolled(documents, 19_999)
    monthly = limiter(monthly_cost_budget_usd=1.0)
    told = (await monthly.admit(ALICE, 1, None, 200_000)).headers()
    assert told["x-budget-warning"] == "monthly_cost_usd 90%"
    await refused(monthly, 1, 100_001)
    await monthly.admit(ALICE, 1, None, 100_000)


async def test_yesterdays_streams_count_once_they_are_settled(
    limiter: Callable[..., Limiter], documents: MeteredDocuments, clock: Clock
) -> None:
    monthly = limiter(monthly_token_budget=1_000)
    held = await monthly.admit(ALICE, 900)
    clock.now += 43_200 + 5
    await refused(monthly, 200)  # all of yesterday's hold stands
    await monthly.settle(held, 100)
    clock.now += 3_700
    await monthly.admit(ALICE, 900)
    await refused(monthly, 1)


async def test_a_new_month_begins_with_nothing_and_reads_nothing(
    limiter: Callable[..., Limiter], documents: MeteredDocuments, clock: Clock
) -> None:
    monthly = limiter(monthly_token_budget=1_000)
    await monthly.admit(ALICE, 1_000)
    clock.now += seconds_to_month_end(clock.now)
    documents.reset()
    await monthly.admit(ALICE, 1_000)
    assert documents.operations.reads == 0


async def test_without_a_months_budget_nothing_is_read(
    limiter: Callable[..., Limiter], documents: MeteredDocuments
) -> None:
    await limiter(daily_token_budget=10, daily_cost_budget_usd=1.0).admit(ALICE, 1, None, 5)
    assert documents.operations == Operations(writes=1)
