"""The one place that names implementations: settings in, a served app out."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from random import Random, SystemRandom
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.app import build_app
from gateway.chat.claims import Claims
from gateway.chat.compressing import CompressionDesk
from gateway.chat.compression import CompressionOptions, Compressor
from gateway.chat.economics import Prices
from gateway.chat.estimates import Sizes
from gateway.chat.finisher import Finisher
from gateway.chat.pipeline import Pipeline
from gateway.chat.prefills import Prefills
from gateway.chat.prompt import OPENING
from gateway.chat.threads import Threads
from gateway.documents.base import Documents
from gateway.documents.firestore import FirestoreDocuments
from gateway.documents.sqlite import SqliteDocuments
from gateway.identity.base import Authenticator
from gateway.identity.development import DevelopmentIssuer
from gateway.identity.google import CertificateSource, GoogleVerifier
from gateway.identity.keys import KeyVerifier, parse_keys
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter
from gateway.memory.edits import Edits
from gateway.memory.intake import Intake
from gateway.memory.log import MessageLog
from gateway.memory.recall import IndexCache, Recall
from gateway.memory.receipts import Receipts
from gateway.memory.records import new_id
from gateway.portability.erasure import Erasure
from gateway.portability.export import Export
from gateway.retention.decisions import Policy
from gateway.retention.schedule import sweep_regularly
from gateway.retention.sweep import Sweep
from gateway.retrieval.base import Ranker
from gateway.retrieval.lexical import LexicalRanker
from gateway.retrieval.remote import RemoteOptions, RemoteRanker
from gateway.retrieval.tier import Tier
from gateway.routes.chat import chat_routes
from gateway.routes.cleanup import Cleanup
from gateway.routes.development import development_routes
from gateway.routes.erasure import erasure_routes
from gateway.routes.export import export_routes
from gateway.routes.health import health_routes
from gateway.routes.memory import MemoryRoutes
from gateway.routes.messages import MessageRoutes
from gateway.routes.models import Models
from gateway.settings import Settings
from gateway.tokens.base import Tokenizer
from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.base import Upstream
from gateway.upstream.catalogue import Catalogue
from gateway.upstream.openai import OpenAIUpstream, make_client
from gateway.upstream.preview import PreviewUpstream

VERSION = "0.1.0"
MEGABYTE = 1_000_000
RANKINGS_AT_ONCE = (
    256  # of one instance; what waits for a connection beyond them, its deadline ends
)


def build(settings: Settings) -> Starlette:
    """The gateway as a Starlette app. Opens nothing: files and sockets wait for the first use."""
    _set_up_logging(settings)
    return build_app(_routes(settings, SystemRandom()), sorted(settings.origins))


def build_cleanup(settings: Settings) -> Starlette:
    """The scheduled cleanup as an app of its own. Opens nothing before its first request."""
    _set_up_logging(settings)
    documents, clock = documents_from(settings.store_url), time.time
    upstream = upstream_from(settings, make_client(), RsBpeTokenizer(settings.tokenizer))
    catalogue = Catalogue(upstream, documents, clock)
    cleanup = Cleanup(_sweep(settings, documents), catalogue, clock)
    return build_app([*health_routes(VERSION), *cleanup.routes()], origins=())


def local_sweep(settings: Settings) -> Coroutine[None, None, None] | None:
    """What sweeps beside the gateway where no scheduler calls `cleanup`: on a store in a file."""
    if not (settings.retention_schedule_seconds and settings.store_url.startswith("sqlite:")):
        return None
    sweep = _sweep(settings, documents_from(settings.store_url))
    return sweep_regularly(sweep, settings.retention_schedule_seconds, asyncio.sleep)


def _set_up_logging(settings: Settings) -> None:
    logging.basicConfig(level=settings.effective_log_level, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every URL


def _routes(settings: Settings, randomness: Random) -> list[Route]:
    clock = time.time
    client = make_client()
    documents = documents_from(settings.store_url)
    tokenizer = RsBpeTokenizer(settings.tokenizer)
    upstream = upstream_from(settings, client, tokenizer)
    door = _door(settings, client)
    limiter = Limiter(documents, clock, _limits(settings), settings.limiter_failure, randomness)
    log = MessageLog(documents, clock, randomness)
    threads = Threads(documents, log, randomness)
    cache = IndexCache(settings.max_memory_mb * MEGABYTE)
    options, ranker = _compression(settings), ranker_from(settings)
    compressor = Compressor(Recall(documents, cache), ranker, tokenizer, options, clock)
    claims, sizes = Claims(documents, clock), Sizes()
    finisher = Finisher(
        log,
        limiter,
        claims,
        tokenizer,
        sizes,
        clock,
        lambda: new_id(clock(), randomness.getrandbits),
        options.prices,
        upstream.answers_are_memories,
    )
    pipeline = Pipeline(
        limiter,
        threads,
        compressor,
        claims,
        upstream,
        finisher,
        Prefills(ranker),
        sizes,
        clock,
        randomness,
    )
    desk = CompressionDesk(limiter, threads, compressor, clock, randomness)
    memory = MemoryRoutes(
        door,
        log,
        Intake(log, clock, randomness),
        Receipts(documents),
        tokenizer,
        limiter=limiter,
        max_body_bytes=settings.max_body_bytes,
        max_message_characters=settings.max_message_characters,
    )
    messages = MessageRoutes(
        door,
        Edits(documents, randomness, tokenizer.count),
        max_body_bytes=settings.max_body_bytes,
        max_message_characters=settings.max_message_characters,
    )
    return [
        *health_routes(VERSION),
        *chat_routes(door, pipeline, desk, settings.max_body_bytes),
        *memory.routes(),
        *messages.routes(),
        *export_routes(door, Export(documents)),
        *erasure_routes(door, Erasure(documents, ranker, clock, settings.backup_retention_days)),
        *Models(door, Catalogue(upstream, documents, clock)).routes(),
        *_development(settings),
    ]


def documents_from(url: str) -> Documents:
    """`sqlite:///relative.db`, `sqlite:////absolute.db` with `?synchronous=FULL`, or
    `firestore://PROJECT/DATABASE`."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        synchronous = parse_qs(parts.query).get("synchronous", ["NORMAL"])[0]
        return SqliteDocuments(parts.path[1:], synchronous)
    if parts.scheme == "firestore" and parts.netloc and not parts.query:
        return FirestoreDocuments(parts.netloc, parts.path.strip("/") or "(default)")
    raise ValueError("STORE_URL is sqlite:///FILE or firestore://PROJECT/DATABASE")


def upstream_from(settings: Settings, client: httpx.AsyncClient, tokenizer: Tokenizer) -> Upstream:
    """The upstream at `UPSTREAM_BASE`; empty or `preview:` means the preview."""
    if settings.upstream_base in {"", "preview:"}:
        return PreviewUpstream(tokenizer.count, OPENING, time.time)
    return OpenAIUpstream(
        settings.upstream_base,
        settings.upstream_api_key.get_secret_value() or None,
        client,
        settings.request_timeout_seconds,
        settings.upstream_timeout_seconds,
    )


def ranker_from(settings: Settings) -> Ranker:
    """`lexical:`, or the GPU tier at a URL, with a client and connections of its own."""
    if settings.retriever_url == "lexical:":
        return LexicalRanker(settings.memory_score_floor)
    tier = Tier(
        settings.retriever_url,
        make_client(max_connections=RANKINGS_AT_ONCE),
        settings.modal_key.get_secret_value(),
        settings.modal_secret.get_secret_value(),
    )
    options = RemoteOptions(
        deadline_seconds=settings.retriever_deadline_seconds,
        window_tokens=settings.retriever_window_tokens,
        max_tokens=settings.retriever_max_tokens,
        small_tokens=settings.memory_compress_above_tokens,
        cache_seconds=settings.retriever_cache_seconds,
        floor=settings.memory_score_floor,
    )
    return RemoteRanker(tier, options, time.monotonic)


def _door(settings: Settings, client: httpx.AsyncClient) -> Authenticator:
    certificates = CertificateSource(client, settings.google_certs_url, time.time)
    return Authenticator(
        [
            KeyVerifier(parse_keys(settings.api_keys.get_secret_value())),
            GoogleVerifier(
                settings.audiences,
                certificates,
                time.time,
                settings.google_hosted_domain or None,
            ),
        ]
    )


def _development(settings: Settings) -> list[Route]:
    if not settings.development_issuer:
        return []
    issuer = DevelopmentIssuer(settings.development_key_file, time.time)
    return development_routes(issuer, min(settings.audiences, default=""))


def _limits(settings: Settings) -> Limits:
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


def _sweep(settings: Settings, documents: Documents) -> Sweep:
    policy = Policy(
        max_age_days=settings.retention_max_age_days,
        importance_threshold=settings.retention_importance_threshold,
        delete_after_days=settings.retention_delete_after_days,
    )
    budget = settings.retention_time_budget_seconds
    return Sweep(documents, time.time, SystemRandom(), policy, budget)


def _compression(settings: Settings) -> CompressionOptions:
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
