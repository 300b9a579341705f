"""Sliding-window arithmetic over five-second buckets. Pure: the clock is passed, no store known.

One document per UTC day holds, for each bucket of the day, `r<bucket>` requests and `t<bucket>`
tokens, and the day's totals, as accounts/usage.py names them: `requests`, `tokens`, `cost` in
micro-dollars and more. The window is the current bucket and the twelve before it. The oldest counts
whole, so the window covers the last 60 seconds and up to five more: never over the limit, at the
price of a unit leaving up to five seconds late.

The bucket after the current one is read as well: a writer that is late or whose clock is behind, by
up to five seconds, still sees everyone who was counted before it.

Buckets are numbered since the epoch here; only a field's name counts them within the day.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal

Dimension = Literal["requests", "tokens"]
Total = Literal["tokens", "cost"]
"""What a budget may be of; `cost` in micro-dollars."""
Units = Mapping[Dimension, int]

DIMENSIONS: tuple[Dimension, ...] = ("requests", "tokens")
TOTALS: tuple[Total, ...] = ("tokens", "cost")
BUCKET_SECONDS = 5
BUCKETS_BEFORE = 12
BUCKETS_AHEAD = 1
BUCKETS_DROPPED = 60  # five minutes' worth with each write; a day's leftovers stay below 150 KB
DAY_SECONDS = 86_400
BUCKETS_PER_DAY = DAY_SECONDS // BUCKET_SECONDS
DAYS_KEPT = 2
SUBJECT = "subject"  # whose document it is, beside its counters
LONGEST_MONTH_DAYS = 31  # from the first of a month on they lead into the next one
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class DayAmounts:
    """Increments for one day's document; an amount of zero reads."""

    day: int
    amounts: Mapping[str, float]
    drop: tuple[str, ...] = ()

    @property
    def expires_at(self) -> float:
        return float((self.day + 1 + DAYS_KEPT) * DAY_SECONDS)


@dataclass(frozen=True, slots=True)
class Contents:
    """What the window holds in one dimension: (bucket, units), oldest first."""

    buckets: tuple[tuple[int, float], ...] = ()

    def used(self, now: float) -> float:
        return sum(units for _, units in self._counted(now))

    def fits(self, now: float, size: float, limit: float) -> bool:
        return self.used(now) + size <= limit

    def wait_seconds(self, now: float, size: float, limit: float) -> float:
        """Until enough has left the window for `size` to fit, if nothing else comes; 0 if it fits.

        `size` is at most `limit`; a larger one never fits.
        """
        excess = self.used(now) + size - limit
        wait = 0.0
        for bucket, units in self._counted(now):
            if excess <= 0:
                break
            excess -= units
            wait = _leaves_at(bucket) - now
        return wait

    def reset_seconds(self, now: float) -> float:
        """Until the window is empty."""
        waits = [_leaves_at(bucket) - now for bucket, units in self._counted(now) if units]
        return waits[-1] if waits else 0.0

    def clipped(self, limit: float) -> "Contents":
        """Without what lies above `limit`, taken from the newest buckets."""
        excess = sum(units for _, units in self.buckets) - limit
        kept: list[tuple[int, float]] = []
        for bucket, units in reversed(self.buckets):
            taken = min(units, max(0, excess))
            excess -= taken
            kept.append((bucket, units - taken))
        return Contents(tuple(reversed(kept)))

    def _counted(self, now: float) -> Iterator[tuple[int, float]]:
        oldest = bucket_at(now) - BUCKETS_BEFORE
        return (entry for entry in self.buckets if entry[0] >= oldest)


@dataclass(frozen=True, slots=True)
class Usage:
    """One counted document as a write told it `at` a time: its window and the day's totals."""

    at: float
    minute: Mapping[Dimension, Contents]
    day: Mapping[Total, float] = field(default_factory=dict)

    def today(self, total: Total, now: float) -> float:
        same_day = day_of(bucket_at(self.at)) == day_of(bucket_at(now))
        return self.day.get(total, 0) if same_day else 0

    def with_requests_clipped(self, limit: float) -> "Usage":
        requests = self.minute["requests"].clipped(limit)
        return replace(self, minute={**self.minute, "requests": requests})


def bucket_at(now: float) -> int:
    return int(now // BUCKET_SECONDS)


def day_of(bucket: int) -> int:
    return bucket // BUCKETS_PER_DAY


@lru_cache(maxsize=8)
def day_name(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def seconds_to_midnight(now: float) -> float:
    return DAY_SECONDS - now % DAY_SECONDS


def first_of_month(day: int) -> int:
    """The day that the month of `day` began with."""
    return day - date.fromordinal(EPOCH_ORDINAL + day).day + 1


def seconds_to_month_end(now: float) -> float:
    """Until midnight before the first of the next month."""
    first = first_of_month(day_of(bucket_at(now)))
    following = first_of_month(first + LONGEST_MONTH_DAYS)
    return following * DAY_SECONDS - now


@lru_cache(maxsize=512)  # a window's and what is dropped, of two minutes
def field_of(dimension: Dimension, bucket: int) -> str:
    return f"{dimension[0]}{bucket % BUCKETS_PER_DAY}"


def amounts_at(now: float, units: Units, cost: int | None = None) -> list[DayAmounts]:
    """What counts `units` now and reads the window: today's document first.

    Around midnight the window touches a second day, which is only read. A `cost` counts for the day
    alone; one of None is not even read.
    """
    current = bucket_at(now)
    today = day_of(current)
    by_day: dict[int, dict[str, float]] = {today: dict(units.items())}
    for dimension, count in units.items():
        for bucket, day, name in _fields_of(current, dimension):
            by_day.setdefault(day, {})[name] = count if bucket == current else 0
    if cost is not None:
        by_day[today]["cost"] = cost
    drop = _outdated(current, tuple(units))
    return [DayAmounts(day, by_day[day], drop if day == today else ()) for day in by_day]


def usage_from(now: float, answers: Mapping[int, Mapping[str, float]]) -> Usage:
    """The values after the increments of `amounts_at(now, ...)`, by day, put together again."""
    today = day_of(bucket_at(now))
    minute = {dimension: _contents(now, dimension, answers) for dimension in DIMENSIONS}
    return Usage(now, minute, {name: answers[today].get(name, 0) for name in TOTALS})


def settlement_at(
    now: float,
    reserved_at: float,
    reserved: int,
    used: int,
    totals: Mapping[str, int] | None = None,
) -> DayAmounts | None:
    """What corrects `reserved` tokens to `used`, and adds `totals` to the day's.

    The rest is counted now, because a stream may outlive the window that reserved it. A surplus
    leaves the bucket it was reserved on; once that is out of the window, only the day is corrected.
    """
    owed = used - reserved
    bucket = bucket_at(now if owed > 0 else reserved_at)
    amounts: dict[str, float] = {name: n for name, n in (totals or {}).items() if n}
    if owed:
        amounts["tokens"] = owed
        if bucket >= bucket_at(now) - BUCKETS_BEFORE:
            amounts[field_of("tokens", bucket)] = owed
    return DayAmounts(day_of(bucket), amounts) if amounts else None


def _leaves_at(bucket: int) -> int:
    return (bucket + BUCKETS_BEFORE + 1) * BUCKET_SECONDS


@lru_cache(maxsize=8)
def _outdated(current: int, dimensions: tuple[Dimension, ...]) -> tuple[str, ...]:
    """Fields of today that no window counts, not even that of a clock one bucket behind."""
    end = current - BUCKETS_BEFORE - BUCKETS_AHEAD
    midnight = day_of(current) * BUCKETS_PER_DAY
    buckets = range(max(midnight, end - BUCKETS_DROPPED), end)
    return tuple(field_of(dimension, bucket) for bucket in buckets for dimension in dimensions)


def _contents(
    now: float, dimension: Dimension, answers: Mapping[int, Mapping[str, float]]
) -> Contents:
    named = _fields_of(bucket_at(now), dimension)
    counted = ((bucket, answers[day].get(name, 0)) for bucket, day, name in named)
    return Contents(tuple(entry for entry in counted if entry[1]))


@lru_cache(maxsize=16)
def _fields_of(current: int, dimension: Dimension) -> tuple[tuple[int, int, str], ...]:
    """Bucket, day and field of everything the window reads; the same for five seconds."""
    window = range(current - BUCKETS_BEFORE, current + BUCKETS_AHEAD + 1)
    return tuple((bucket, day_of(bucket), field_of(dimension, bucket)) for bucket in window)
