"""Why a request is refused and for how long, in the words of OpenAI's 429s. Pure."""

from dataclasses import dataclass
from typing import Literal

from gateway.errors import RateLimited
from gateway.limits.budgets import SAID, Budget
from gateway.limits.headers import duration

UNITS = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """`of_key`: a limit of the API key's own stands in the way, not one of its person's."""

    kind: Literal["requests", "tokens", "service", "budget"]
    limit: int
    used: int
    requested: int
    wait_seconds: float
    budget: Budget | None = None
    of_key: bool = False

    def error(self, headers: dict[str, str]) -> RateLimited:
        return RateLimited(
            self._message(),
            type={"service": "requests", "budget": "insufficient_quota"}.get(self.kind, self.kind),
            code="insufficient_quota" if self.kind == "budget" else None,
            retry_after_seconds=self.wait_seconds,
            headers=headers,
        )

    def _message(self) -> str:
        again = f"Please try again in {duration(max(1, self.wait_seconds))}."
        whose = " of this API key" if self.of_key else ""
        if self.budget:
            return f"You exceeded your {SAID[self.budget.name]}{whose}: {self._sums()} {again}"
        if self.kind == "service":  # a shard's sums would mislead, and others' use is theirs
            return f"Rate limit reached for the whole service on {UNITS['requests']}. {again}"
        return f"Rate limit reached on {UNITS[self.kind]}{whose}: {self._sums()} {again}"

    def _sums(self) -> str:
        text = self.budget.text if self.budget else str
        return (
            f"Limit {text(self.limit)}, Used {text(self.used)}, Requested {text(self.requested)}."
        )
