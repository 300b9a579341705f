"""What an identity used by the day, and what is left of its limits. Reads, and counts nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.accounts.usage import Totals, dollars
from gateway.limits.budgets import TOTAL_OF, Budget, Name
from gateway.limits.grants import Grant
from gateway.limits.history import Days
from gateway.limits.limiter import Limiter
from gateway.limits.window import (
    DIMENSIONS,
    Dimension,
    Usage,
    amounts_at,
    bucket_at,
    day_name,
    day_of,
    usage_from,
)

Left = Mapping[str, float | None]
TOLD: Mapping[Name, str] = {
    "daily_tokens": "daily_token_budget",
    "monthly_tokens": "monthly_token_budget",
    "daily_cost_usd": "daily_cost_budget_usd",
    "monthly_cost_usd": "monthly_cost_budget_usd",
}


@dataclass(frozen=True, slots=True)
class Used:
    """`days` by name, oldest first, those without use too; `limits` as `limit` and `remaining`."""

    days: Mapping[str, Totals]
    limits: Mapping[str, Left]


class Report:
    def __init__(self, limiter: Limiter, clock: Callable[[], float]) -> None:
        self._limiter = limiter
        self._clock = clock

    async def of(self, subject: str, count: int) -> Used:
        """The last `count` days, today's the last. Reads a document for each, and once a day those
        of the month where a month's budget asks for them."""
        now = self._clock()
        grant = await self._limiter.granted(subject)
        today = day_of(bucket_at(now))
        found = await self._limiter.history.days(grant.name, range(today - count + 1, today + 1))
        totals = {day_name(day): Totals.of(one.fields if one else {}) for day, one in found}
        return Used(totals, _left(grant, _usage(found, now), now))


def _usage(found: Days, now: float) -> Usage:
    """As a write would have told it; yesterday's part of the window where yesterday was read."""
    fields = {day: one.fields for day, one in found if one is not None}
    touched = [part.day for part in amounts_at(now, dict.fromkeys(DIMENSIONS, 0))]
    return usage_from(now, {day: fields.get(day, {}) for day in touched})


def _left(grant: Grant, usage: Usage, now: float) -> dict[str, Left]:
    limits, budgets = grant.limits, {one.name: one for one in grant.limits.budgets(grant.before)}
    minute = {
        f"{dimension}_per_minute": _of_minute(limit, usage, dimension, now)
        for dimension, limit in limits.per_subject().items()
    }
    return minute | {TOLD[name]: _of_budget(budgets.get(name), usage, now) for name in TOTAL_OF}


def _of_minute(limit: int, usage: Usage, dimension: Dimension, now: float) -> Left:
    used = usage.minute[dimension].used(now)
    return {"limit": limit, "remaining": max(0, int(limit - used)) if limit else None}


def _of_budget(budget: Budget | None, usage: Usage, now: float) -> Left:
    if budget is None:
        return {"limit": 0, "remaining": None}
    left = max(0, budget.limit - budget.used(usage, now))
    if budget.total == "cost":
        return {"limit": dollars(budget.limit), "remaining": dollars(left)}
    return {"limit": budget.limit, "remaining": left}
