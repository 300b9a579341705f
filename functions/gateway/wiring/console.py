"""The console, and what it is told of the service."""

from typing import Any

from starlette.routing import Route

from gateway.routes.console import Console
from gateway.settings import Settings


def console(settings: Settings, version: str) -> list[Route]:
    """Where the development issuer signs, no token of Google's is good: its button is not shown."""
    client = None if settings.development_issuer else _client(settings)
    return Console(_facts(settings, client, version), google=client is not None).routes()


def _client(settings: Settings) -> str | None:
    """The first that is listed; the others belong to apps."""
    return settings.google_client_id.partition(",")[0].strip() or None


def _facts(settings: Settings, client: str | None, version: str) -> dict[str, Any]:
    return {
        "version": version,
        "google_client_id": client,
        "google_hosted_domain": settings.google_hosted_domain or None,
        "development_sign_in": settings.development_issuer,
        "preview": settings.upstream_base in {"", "preview:"},
        "retriever": "lexical" if settings.retriever_url == "lexical:" else "gpu",
        "max_message_characters": settings.max_message_characters,
        "max_import_bytes": settings.max_import_bytes,
        "prices_usd_per_million": _prices(settings),
        "retention": {
            "max_age_days": settings.retention_max_age_days,
            "importance_threshold": settings.retention_importance_threshold,
            "delete_after_days": settings.retention_delete_after_days,
        },
    }


def _prices(settings: Settings) -> dict[str, float] | None:
    if not settings.price_prompt_per_million:
        return None
    return {
        "prompt": settings.price_prompt_per_million,
        "cached_prompt": settings.price_cached_prompt_per_million,
        "completion": settings.price_completion_per_million,
    }
