"""What the settings say, in the words of those who need it. Pure."""

from typing import TYPE_CHECKING, Any

from gateway.chat.compression import CompressionOptions
from gateway.chat.economics import Prices
from gateway.limits.base import Limits
from gateway.settings import Settings

if TYPE_CHECKING:  # a cold start's first answer needs neither
    from gateway.retention.decisions import Policy
    from gateway.search.scoring import Weights

KEPT = (
    "memory_scope",
    "retention_max_age_days",
    "retention_importance_threshold",
    "retention_delete_after_days",
    "backup_retention_days",
)


def limits(settings: Settings) -> Limits:
    return Limits(
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
        global_requests_per_minute=settings.global_requests_per_minute,
        global_shards=_shards(settings),
        daily_token_budget=settings.daily_token_budget,
    )


def _shards(settings: Settings) -> int:
    """One where all processes share a file: shards spread Firestore's writes and refuse early."""
    return 1 if settings.store_url.startswith("sqlite:") else settings.global_limit_shards


def compression(settings: Settings) -> CompressionOptions:
    return CompressionOptions(
        token_budget=settings.memory_token_budget,
        recent_turns=settings.memory_recent_turns,
        compress_above_tokens=settings.memory_compress_above_tokens,
        scope=settings.memory_scope,
        top_k=settings.top_k,
        prices=_prices(settings),
    )


def _prices(settings: Settings) -> Prices | None:
    """Money is stated only where the price list is known; an unpriced cache gives no discount."""
    if not settings.price_prompt_per_million:
        return None
    return Prices(
        prompt=settings.price_prompt_per_million,
        cached_prompt=settings.price_cached_prompt_per_million or settings.price_prompt_per_million,
        completion=settings.price_completion_per_million,
        retriever_hour=settings.retriever_price_per_hour or None,
        cached_from=settings.price_cached_from_tokens,
    )


def weights(settings: Settings) -> "Weights":
    from gateway.search.scoring import Weights

    return Weights(
        relevance=settings.search_weight_relevance,
        importance=settings.search_weight_importance,
        recency=settings.search_weight_recency,
    )


def policy(settings: Settings) -> "Policy":
    from gateway.retention.decisions import Policy

    return Policy(
        max_age_days=settings.retention_max_age_days,
        importance_threshold=settings.retention_importance_threshold,
        delete_after_days=settings.retention_delete_after_days,
    )


def archive_seconds(settings: Settings) -> float:
    from gateway.retention.decisions import DAY_SECONDS

    return settings.retention_delete_after_days * DAY_SECONDS


def kept(settings: Settings) -> dict[str, Any]:
    """What decides, of everything that is set, what is remembered and for how long."""
    return {name: getattr(settings, name) for name in KEPT}
