"""`x-ratelimit-*` in OpenAI's names and durations. Pure.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.limits.budgets import Budget, warning
from gateway.limits.window import Dimension, Usage

WARNING_HEADER = "x-budget-warning"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one counted document stands: an identity's first, then that of its key."""

    per_minute: Mapping[Dimension, int]
    usage: Usage
    budgets: tuple[Budget, ...] = ()


def standing_headers(
    standings: Sequence[Standing], now: float, warning_share: float
) -> dict[str, str]:
    """Of two limits the one with less left is told; budgets nearly spent, and whose they are."""
    headers: dict[str, str] = {}
    for one in standings:
        told = rate_limit_headers(one.per_minute, one.usage, now)
        for dimension in one.per_minute:
            if _remaining(told, dimension) < _remaining(headers, dimension):
                headers |= {name: told[name] for name in told if name.endswith(dimension)}
    warnings = [warning(one.budgets, one.usage, now, warning_share) for one in standings]
    if any(warnings):
        headers[WARNING_HEADER] = ", ".join(filter(None, warnings))
    return headers


def _remaining(headers: Mapping[str, str], dimension: Dimension) -> float:
    return float(headers.get(f"x-ratelimit-remaining-{dimension}", math.inf))


def rate_limit_headers(
    per_minute: Mapping[Dimension, int], usage: Usage, now: float
) -> dict[str, str]:
    """An unlimited dimension has no headers."""
    headers = {}
    for dimension, limit in per_minute.items():
        if limit:
            contents = usage.minute[dimension]
            remaining = max(0, limit - math.ceil(contents.used(now)))
            headers[f"x-ratelimit-limit-{dimension}"] = str(limit)
            headers[f"x-ratelimit-remaining-{dimension}"] = str(remaining)
            headers[f"x-ratelimit-reset-{dimension}"] = duration(contents.reset_seconds(now))
    return headers


def duration(seconds: float) -> str:
    """`20ms`, `1s`, `6m0s`, `1h0m0s`: never shorter than the time it tells."""
    if 0 < seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
