"""What somebody used, in the totals that the limiter counts by the day. Pure.

They ride in writes that happen anyway: requests and tokens in the admission, the rest in the
settlement of a turn. Money is counted in whole micro-dollars, rounded up for what was spent.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

MICROS = 1_000_000
SLACK = 1e-6  # of a micro-dollar: what floating point adds is no reason to round up


@dataclass(frozen=True, slots=True)
class Totals:
    """Each is a field of a day's document; `before` to `saved` are of answered turns.

    `priced` counts the turns whose cost is in `cost`: of 0 nothing is known. `cost_saved` may be
    negative, as tokens saved may.
    """

    requests: int = 0
    tokens: int = 0
    before: int = 0
    after: int = 0
    completion: int = 0
    answers: int = 0
    memories: int = 0
    cost: int = 0
    cost_saved: int = 0
    priced: int = 0

    @staticmethod
    def of(document: Mapping[str, Any]) -> "Totals":
        return Totals(**{name: int(document.get(name, 0)) for name in NAMES})

    @staticmethod
    def sum(days: Iterable["Totals"]) -> "Totals":
        all_days = list(days)
        return Totals(**{name: sum(getattr(one, name) for one in all_days) for name in NAMES})

    def packed(self) -> dict[str, int]:
        """Requests and tokens always, of the others what there is."""
        counted = {name: getattr(self, name) for name in NAMES}
        return {name: n for name, n in counted.items() if n or name in {"requests", "tokens"}}

    def told(self) -> dict[str, float | None]:
        return {
            "requests": self.requests,
            "tokens": self.tokens,
            "tokens_before": self.before,
            "tokens_after": self.after,
            "tokens_saved": self.before - self.after,
            "completion_tokens": self.completion,
            "answers": self.answers,
            "answers_with_memory": self.memories,
            "cost_usd": dollars(self.cost) if self.priced else None,
            "cost_saved_usd": dollars(self.cost_saved) if self.priced else None,
        }

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in NAMES)


NAMES = tuple(field.name for field in fields(Totals))


def dollars(micros: int) -> float:
    return micros / MICROS


def spent_micros(dollars: float) -> int:
    """Rounded up: many small turns must not slip through a budget."""
    return max(0, math.ceil(dollars * MICROS - SLACK))


def limit_micros(dollars: float) -> int:
    """A limit above zero stays one: 0 would be none at all."""
    return max(1, round(dollars * MICROS)) if dollars > 0 else 0
