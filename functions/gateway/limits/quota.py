"""What one request asks of one counted document, and whether it gets it. Pure.

Counting is one write: the units are added first and the values after say what stands. These values
order concurrent requests. Whoever is admitted keeps its units, so the k-th admitted request of a
window reads at least k: never more than the limit pass. And of equal requests never fewer: whoever
reads a value up to the limit is admitted, so the first ones refused read values above it, and what
they leave until they give it back lies above everyone already admitted. (Of unequal ones, a large
refused request may make a smaller one refuse in that moment.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.documents.base import Add
from gateway.limits.budgets import Budget
from gateway.limits.refusal import Refusal
from gateway.limits.window import Dimension, Units, Usage, amounts_at, day_name


@dataclass(frozen=True, slots=True)
class Quota:
    """`name` is the document's place under its day: `subjects/<digest>`, `keys/<id>` or
    `global/<shard>`. The request may cost `cost` micro-dollars. `labels` stand there beside the
    counters: who it is, for those who may know.
    """

    name: str
    units: Units
    per_minute: Mapping[Dimension, int]
    budgets: tuple[Budget, ...] = ()
    cost: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    def adds(self, now: float, sign: int = 1) -> dict[int, Add]:
        """By day, the writes that count this request; with a `sign` of -1, that give it back."""
        units: dict[Dimension, int] = {name: sign * count for name, count in self.units.items()}
        return {
            part.day: Add(
                path_of(part.day, self.name), part.amounts, part.drop, part.expires_at, self.labels
            )
            for part in amounts_at(now, units, self._cost(sign))
        }

    def _cost(self, sign: int) -> int | None:
        limited = any(budget.total == "cost" for budget in self.budgets)
        return sign * self.cost if limited or self.cost else None

    def refusals(self, usage: Usage, now: float, *, counted: bool) -> list[Refusal]:
        """Every limit that `usage` leaves no room under; `counted`: it holds this request."""
        found = [self._minute(name, usage, now, counted) for name in self.per_minute]
        found += [self._budget(budget, usage, now, counted) for budget in self.budgets]
        return [refusal for refusal in found if refusal]

    def without_refused(self, usage: Usage) -> Usage:
        """Requests above the limit are refused ones, not yet given back: they delay nobody."""
        limit = self.per_minute.get("requests")
        return usage.with_requests_clipped(limit) if limit else usage

    def _minute(
        self, dimension: Dimension, usage: Usage, now: float, counted: bool
    ) -> Refusal | None:
        limit, size = self.per_minute[dimension], self.units[dimension]
        contents, asked = usage.minute[dimension], 0 if counted else size
        if not limit or contents.fits(now, asked, limit):
            return None
        used = int(contents.used(now)) + asked - size
        wait = contents.wait_seconds(now, asked, limit)
        kind = "service" if self.of_service else dimension
        return Refusal(kind, limit, used, size, wait, of_key=self._of_key)

    def _budget(self, budget: Budget, usage: Usage, now: float, counted: bool) -> Refusal | None:
        """What costs nothing passes however much is spent."""
        size = self.cost if budget.total == "cost" else self.units.get("tokens", 0)
        used = budget.used(usage, now) - (size if counted else 0)
        if not size or used + size <= budget.limit:
            return None
        wait = budget.wait_seconds(now)
        return Refusal("budget", budget.limit, used, size, wait, budget, of_key=self._of_key)

    @property
    def of_service(self) -> bool:
        return self.name.startswith("global/")

    @property
    def _of_key(self) -> bool:
        return self.name.startswith("keys/")


def path_of(day: int, name: str) -> str:
    return f"limits/{day_name(day)}/{name}"
