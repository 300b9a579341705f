"""The words of the limits room: what is limited, and what an admitted request holds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from gateway.accounts.allowance import Allowance
from gateway.accounts.key import Key
from gateway.accounts.usage import limit_micros
from gateway.documents.base import Add, Written
from gateway.limits.budgets import Budget
from gateway.limits.headers import Standing, standing_headers
from gateway.limits.window import BUCKETS_PER_DAY, Dimension, Total, bucket_at, day_name, day_of

Number = TypeVar("Number", int, float)

WARNING_SHARE = 0.8


class Counters(Protocol):
    """A store as far as counting goes."""

    async def commit(self, *writes: Add) -> list[Written]: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Zero means unlimited, for each. `global_shards` documents share the global limit."""

    requests_per_minute: int = 60
    tokens_per_minute: int = 20_000
    global_requests_per_minute: int = 200
    global_shards: int = 4
    daily_token_budget: int = 0
    monthly_token_budget: int = 0
    daily_cost_budget_usd: float = 0.0
    monthly_cost_budget_usd: float = 0.0
    warning_share: float = WARNING_SHARE

    def per_subject(self) -> dict[Dimension, int]:
        return {"requests": self.requests_per_minute, "tokens": self.tokens_per_minute}

    def per_shard(self) -> list[int]:
        """What each shard grants; together the global limit, each at least one request."""
        limit = self.global_requests_per_minute
        shards = min(limit, max(1, self.global_shards))
        return [limit // shards + (shard < limit % shards) for shard in range(shards)]

    def budgets(self, before: Mapping[Total, int]) -> tuple[Budget, ...]:
        """Those that are limited; `before`: what the month's earlier days came to."""
        daily, monthly = self.daily_cost_budget_usd, self.monthly_cost_budget_usd
        named = (
            Budget("daily_tokens", self.daily_token_budget),
            Budget("monthly_tokens", self.monthly_token_budget, before.get("tokens", 0)),
            Budget("daily_cost_usd", limit_micros(daily)),
            Budget("monthly_cost_usd", limit_micros(monthly), before.get("cost", 0)),
        )
        return tuple(budget for budget in named if budget.limit)

    @property
    def monthly(self) -> bool:
        return bool(self.monthly_token_budget or self.monthly_cost_budget_usd)

    def allowing(self, said: Allowance | None) -> "Limits":
        """These, but for what was `said`."""
        if said is None:
            return self
        return replace(
            self,
            requests_per_minute=_first(said.requests_per_minute, self.requests_per_minute),
            tokens_per_minute=_first(said.tokens_per_minute, self.tokens_per_minute),
            daily_token_budget=_first(said.daily_tokens, self.daily_token_budget),
            monthly_token_budget=_first(said.monthly_tokens, self.monthly_token_budget),
            daily_cost_budget_usd=_first(said.daily_cost_usd, self.daily_cost_budget_usd),
            monthly_cost_budget_usd=_first(said.monthly_cost_usd, self.monthly_cost_budget_usd),
        )


UNLIMITED = Limits(0, 0, 0)


def _first(said: Number | None, otherwise: Number) -> Number:
    return otherwise if said is None else said


@dataclass(frozen=True, slots=True)
class Spent:
    """What a turn used, for the totals of its day. Money in micro-dollars; None where no price is
    known. `answered`: whole, with `with_memory` remembered lines in its prompt or without."""

    before: int = 0
    after: int = 0
    completion: int = 0
    answered: bool = False
    with_memory: bool = False
    cost: int | None = None
    cost_saved: int | None = None

    def totals(self, held: int) -> dict[str, int]:
        """What settles a turn that `held` so many micro-dollars."""
        return {
            "before": self.before,
            "after": self.after,
            "completion": self.completion,
            "answers": int(self.answered),
            "memories": int(self.answered and self.with_memory),
            "cost": (self.cost or 0) - held,
            "cost_saved": self.cost_saved or 0,
            "priced": int(self.cost is not None),
        }


NOTHING = Spent()


@dataclass(frozen=True, slots=True)
class Reservation:
    """An admitted request: `tokens` and `cost`, in micro-dollars, are held until settled.

    `counted` is False when the store was away and only this process knows of the request. `key` is
    the caller's, where it has limits of its own and is counted too.
    """

    subject: str
    tokens: int
    admitted_at: float
    counted: bool = True
    standings: tuple[Standing, ...] = ()
    warning_share: float = WARNING_SHARE
    cost: int = 0
    key: Key | None = None

    @property
    def day(self) -> str:
        return day_name(day_of(bucket_at(self.admitted_at)))

    @property
    def bucket(self) -> int:
        """Of the day, 0 to 17279."""
        return bucket_at(self.admitted_at) % BUCKETS_PER_DAY

    def headers(self) -> dict[str, str]:
        return standing_headers(self.standings, self.admitted_at, self.warning_share)
