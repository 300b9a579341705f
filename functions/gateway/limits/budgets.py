"""Budgets of a day and of a month, in tokens and in money. Pure.

The day's total comes with the answer of every write. The month's is that and what earlier days
came to, which does not change any more. Days and months are UTC's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.accounts.usage import dollars
from gateway.limits.window import Total, Usage, seconds_to_midnight, seconds_to_month_end

Name = Literal["daily_tokens", "monthly_tokens", "daily_cost_usd", "monthly_cost_usd"]

TOTAL_OF: Mapping[Name, Total] = {
    "daily_tokens": "tokens",
    "monthly_tokens": "tokens",
    "daily_cost_usd": "cost",
    "monthly_cost_usd": "cost",
}
SAID: Mapping[Name, str] = {
    "daily_tokens": "daily token budget",
    "monthly_tokens": "monthly token budget",
    "daily_cost_usd": "daily budget in US dollars",
    "monthly_cost_usd": "monthly budget in US dollars",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """`limit` and `before` are tokens or micro-dollars; `before` is of the month's earlier days."""

    name: Name
    limit: int
    before: int = 0

    @property
    def total(self) -> Total:
        return TOTAL_OF[self.name]

    def used(self, usage: Usage, now: float) -> int:
        return self.before + math.ceil(usage.today(self.total, now))

    def wait_seconds(self, now: float) -> float:
        monthly = self.name.startswith("monthly")
        return seconds_to_month_end(now) if monthly else seconds_to_midnight(now)

    def text(self, amount: int) -> str:
        return f"${dollars(amount):.4f}" if self.total == "cost" else str(amount)


def warning(budgets: Sequence[Budget], usage: Usage, now: float, share: float) -> str:
    """`daily_tokens 85%`, and so on for each budget of which `share` is used; else empty."""
    used = [(budget, budget.used(usage, now)) for budget in budgets]
    return ", ".join(
        f"{budget.name} {int(100 * amount / budget.limit)}%"
        for budget, amount in used
        if amount >= share * budget.limit
    )
