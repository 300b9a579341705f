"""The receipt of a turn: every injected message, what was sent, and what it cost. Pure."""

from collections.abc import Mapping
from typing import Any

from gateway.chat.completion import Completion
from gateway.chat.economics import NOTHING_SENT, Billed, Forecast, Prices, compare, settled
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
        "lines": [line.kept() for line in prompt.lines],
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
        "money_usd": money_of(turn, completion, completion_tokens, prices),
        "usage": completion.usage,
    }


def cached_tokens(usage: Mapping[str, Any] | None) -> int:
    """Prompt tokens the upstream served from its cache: OpenAI's field, or DeepSeek's."""
    details = (usage or {}).get("prompt_tokens_details")
    found = details.get("cached_tokens") if isinstance(details, dict) else None
    found = (usage or {}).get("prompt_cache_hit_tokens") if found is None else found
    return found if isinstance(found, int) else 0


def money_of(
    turn: Turn, completion: Completion, completion_tokens: int, prices: Prices | None
) -> dict[str, float | None] | None:
    """Dollars, net of the upstream's discount for cached tokens and of the ranking's cost.

    By the upstream's own count where it gave one. `after` holds the `retriever`'s part, where that
    is known. All zero for an answer that was not bought.
    """
    if prices is None:
        return None
    if not turn.bought:
        completion_tokens = 0
    money = compare(prices, _billed(turn, completion))
    return {
        "before": round(money.before, 8),
        "after": round(money.after, 8),
        "saved": round(money.saved, 8),
        "completion": round(prices.cost(0, 0, completion_tokens), 8),
        "retriever": None if money.retriever is None else round(money.retriever, 8),
    }


def _billed(turn: Turn, completion: Completion) -> Forecast:
    if not turn.bought:
        return NOTHING_SENT
    tokens = (completion.usage or {}).get("prompt_tokens")
    if not isinstance(tokens, int):
        return turn.prompt.forecast
    return settled(turn.prompt.forecast, Billed(tokens, cached_tokens(completion.usage)))
