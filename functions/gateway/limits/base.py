"""The words of the limits room: what is limited, and what an admitted request holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.documents.base import Add, Written
from gateway.limits.headers import rate_limit_headers
from gateway.limits.window import BUCKETS_PER_DAY, Dimension, Usage, bucket_at, day_name, day_of


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

    def per_subject(self) -> dict[Dimension, int]:
        return {"requests": self.requests_per_minute, "tokens": self.tokens_per_minute}

    def per_shard(self) -> list[int]:
        """What each shard grants; together the global limit, each at least one request."""
        limit = self.global_requests_per_minute
        shards = min(limit, max(1, self.global_shards))
        return [limit // shards + (shard < limit % shards) for shard in range(shards)]


@dataclass(frozen=True, slots=True)
class Reservation:
    """An admitted request: `tokens` are held until settled.

    `counted` is False when the store was away and only this process knows of the request.
    """

    subject: str
    tokens: int
    admitted_at: float
    counted: bool = True
    per_minute: Mapping[Dimension, int] = field(default_factory=dict)
    usage: Usage | None = None

    @property
    def day(self) -> str:
        return day_name(day_of(bucket_at(self.admitted_at)))

    @property
    def bucket(self) -> int:
        """Of the day, 0 to 17279."""
        return bucket_at(self.admitted_at) % BUCKETS_PER_DAY

    def headers(self) -> dict[str, str]:
        if self.usage is None:
            return {}
        return rate_limit_headers(self.per_minute, self.usage, self.admitted_at)
