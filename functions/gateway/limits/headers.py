"""`x-ratelimit-*` in OpenAI's names and durations. Pure.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

import math
from collections.abc import Mapping

from gateway.limits.window import Dimension, Usage


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
