"""What the settings say, in the words of those who need it. Pure."""

import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from gateway.accounts.flags import FLAGS, Flag
from gateway.chat.compression import CompressionOptions
from gateway.chat.economics import Prices
from gateway.chat.models import PriceList
from gateway.limits.base import Limits
from gateway.settings import Settings
from gateway.upstream.routing import price_of
from gateway.wiring.upstreams import routes_from

if TYPE_CHECKING:  # a cold start's first answer needs neither
    from gateway.retention.decisions import Policy
    from gateway.search.scoring import Weights

HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+:[ -~]*")
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
        monthly_token_budget=settings.monthly_token_budget,
        daily_cost_budget_usd=settings.daily_cost_budget_usd,
        monthly_cost_budget_usd=settings.monthly_cost_budget_usd,
        warning_share=settings.budget_warning_share,
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
        prices=prices(settings),
    )


def prices(settings: Settings) -> Prices | None:
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


def price_list(settings: Settings) -> PriceList:
    return PriceList(
        otherwise=prices(settings),
        retriever_hour=settings.retriever_price_per_hour or None,
        cached_from=settings.price_cached_from_tokens,
        configured=partial(price_of, routes_from(settings)),
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


def collector(settings: Settings) -> str:
    """Where spans go; empty for nowhere. Raises ValueError, without repeating what was set."""
    endpoint = settings.otel_exporter_otlp_endpoint.strip()
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise ValueError("OTEL_EXPORTER_OTLP_ENDPOINT is an http:// or https:// URL")
    return endpoint


def collector_headers(settings: Settings) -> dict[str, str]:
    """`name=value` pairs with commas between, values percent-encoded, as OpenTelemetry has it
    (https://opentelemetry.io/docs/specs/otel/protocol/exporter/)."""
    given = settings.otel_exporter_otlp_headers.get_secret_value()
    pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
    headers = {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}
    sound = all(HEADER.fullmatch(f"{name}:{value}") for name, value in headers.items())
    if not (sound and all(equals for _, equals, _ in pairs)):
        raise ValueError("OTEL_EXPORTER_OTLP_HEADERS are name=value pairs with commas between")
    return headers


def archive_seconds(settings: Settings) -> float:
    from gateway.retention.decisions import DAY_SECONDS

    return settings.retention_delete_after_days * DAY_SECONDS


def flags(settings: Settings) -> dict[Flag, bool]:
    return {flag: getattr(settings, flag.lower()) for flag in FLAGS}


def kept(settings: Settings) -> dict[str, Any]:
    """What decides, of everything that is set, what is remembered and for how long."""
    return {name: getattr(settings, name) for name in KEPT}
