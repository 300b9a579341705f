"""Why a request is refused and for how long, in the words of OpenAI's 429s. Pure."""

from dataclasses import dataclass
from typing import Literal

from gateway.errors import RateLimited
from gateway.limits.headers import duration

UNITS = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}


@dataclass(frozen=True, slots=True)
class Refusal:
    kind: Literal["requests", "tokens", "service", "budget"]
    limit: int
    used: int
    requested: int
    wait_seconds: float

    def error(self, headers: dict[str, str]) -> RateLimited:
        return RateLimited(
            self._message(),
            type={"service": "requests", "budget": "insufficient_quota"}.get(self.kind, self.kind),
            code="insufficient_quota" if self.kind == "budget" else None,
            retry_after_seconds=self.wait_seconds,
            headers=headers,
        )

    def _message(self) -> str:
        sums = f"Limit {self.limit}, Used {self.used}, Requested {self.requested}."
        again = f"Please try again in {duration(max(1, self.wait_seconds))}."
        if self.kind == "budget":
            return f"You exceeded your daily token budget: {sums} {again}"
        if self.kind == "service":  # a shard's sums would mislead, and others' use is theirs
            return f"Rate limit reached for the whole service on {UNITS['requests']}. {again}"
        return f"Rate limit reached on {UNITS[self.kind]}: {sums} {again}"
