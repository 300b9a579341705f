"""The receipt of a turn: every injected message, what was sent, and what it cost. Pure."""

from collections.abc import Mapping
from typing import Any

from gateway.chat.completion import Completion
from gateway.chat.economics import Prices
from gateway.chat.turn import Turn


def receipt(
    turn: Turn,
    completion: Completion,
    *,
    completion_tokens: int,
    finished: float,
    interrupted: bool,
    prices: Prices | None,
) -> dict[str, Any]:
    """For this answer: every injected message, what was sent, and what it cost."""
    prompt = turn.prompt
    return {
        "id": turn.receipt_id,
        "session_id": turn.loaded.head.session,
        "created_at": turn.started,
        "model": turn.request.model,
        "status": prompt.status,
        "retriever": prompt.retriever,
        "interrupted": interrupted,
        "lines": [line.told() for line in prompt.lines],
        "layout": dict(prompt.layout),
        "segments_skipped": prompt.segments_skipped,
        "tokens": {
            "before": prompt.tokens_before,
            "after": prompt.tokens_after,
            "saved": prompt.tokens_saved,
            "completion": completion_tokens,
        },
        "seconds": {
            "recall": round(prompt.latency_seconds, 6),
            "total": round(finished - turn.started, 6),
        },
        "money_usd": _money(turn, completion, completion_tokens, prices),
        "usage": completion.usage,
    }


def cached_tokens(usage: Mapping[str, Any] | None) -> int:
    """Prompt tokens the upstream served from its cache: OpenAI's field, or DeepSeek's."""
    details = (usage or {}).get("prompt_tokens_details")
    found = details.get("cached_tokens") if isinstance(details, dict) else None
    found = (usage or {}).get("prompt_cache_hit_tokens") if found is None else found
    return found if isinstance(found, int) else 0


def _money(
    turn: Turn, completion: Completion, completion_tokens: int, prices: Prices | None
) -> dict[str, float | None] | None:
    """Dollars, net of the upstream's discount for cached tokens.

    The lexical order costs none; what the GPU's costs is not known here.
    """
    if prices is None or turn.prompt.money is None:
        return None
    usage = completion.usage or {}
    sent = usage.get("prompt_tokens")
    sent = sent if isinstance(sent, int) else turn.prompt.tokens_after
    after = prices.prompt_cost(sent, cached_tokens(completion.usage))
    before = turn.prompt.money.before
    return {
        "before": round(before, 8),
        "after": round(after, 8),
        "saved": round(before - after, 8),
        "completion": round(prices.cost(0, 0, completion_tokens), 8),
        "retriever": None if turn.prompt.retriever == "gpu" else 0.0,
    }
