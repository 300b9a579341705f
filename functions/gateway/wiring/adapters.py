"""What the settings name: a store, an upstream, who ranks, who is let in. Opens nothing."""

import time
from random import SystemRandom
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx

from gateway.accounts.flags import Flags
from gateway.accounts.workspaces import Workspaces
from gateway.chat.prompt import OPENING
from gateway.documents.base import Documents
from gateway.identity.base import Authenticator
from gateway.identity.google import CertificateSource, GoogleVerifier
from gateway.identity.keys import KeyVerifier, parse_keys
from gateway.identity.stored import StoredKeyVerifier
from gateway.retrieval.lexical import LexicalRanker
from gateway.settings import Settings
from gateway.tokens.base import Tokenizer
from gateway.upstream.base import Upstream
from gateway.upstream.openai import OpenAIUpstream, make_client
from gateway.wiring.upstreams import PREVIEWS, several_from

if TYPE_CHECKING:
    from gateway.retrieval.remote import RemoteRanker

RANKINGS_AT_ONCE = 256  # of one instance; the deadline ends what waits for a connection beyond


def documents_from(url: str) -> Documents:
    """`sqlite:///relative.db`, `sqlite:////absolute.db` with `?synchronous=FULL`, or
    `firestore://PROJECT/DATABASE`."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        from gateway.documents.sqlite import SqliteDocuments

        synchronous = parse_qs(parts.query).get("synchronous", ["NORMAL"])[0]
        return SqliteDocuments(parts.path[1:], synchronous)
    if parts.scheme == "firestore" and parts.netloc and not parts.query:
        from gateway.documents.firestore import FirestoreDocuments

        return FirestoreDocuments(parts.netloc, parts.path.strip("/") or "(default)")
    raise ValueError("STORE_URL is sqlite:///FILE or firestore://PROJECT/DATABASE")


def upstream_from(settings: Settings, client: httpx.AsyncClient, tokenizer: Tokenizer) -> Upstream:
    """Those of `UPSTREAMS`, or that of `UPSTREAM_BASE`; empty or `preview:` is the preview."""
    if settings.upstreams.get_secret_value():
        return several_from(settings, client, SystemRandom())
    if settings.upstream_base in PREVIEWS:
        from gateway.upstream.preview.preview import PreviewUpstream

        return PreviewUpstream(tokenizer.count, OPENING, time.time)
    return OpenAIUpstream(
        settings.upstream_base,
        settings.upstream_api_key.get_secret_value() or None,
        client,
        settings.request_timeout_seconds,
        settings.upstream_timeout_seconds,
    )


def ranker_from(settings: Settings) -> "LexicalRanker | RemoteRanker":
    """`lexical:`, or the GPU tier at a URL, with a client and connections of its own."""
    if settings.retriever_url == "lexical:":
        return LexicalRanker(settings.memory_score_floor)
    from gateway.retrieval.remote import RemoteOptions, RemoteRanker
    from gateway.retrieval.tier import Tier

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


def door_from(
    settings: Settings,
    certificates: CertificateSource,
    workspaces: Workspaces,
    stored: StoredKeyVerifier,
    flags: Flags,
) -> Authenticator:
    keys = KeyVerifier(parse_keys(settings.api_keys.get_secret_value()))
    google = GoogleVerifier(
        settings.audiences, certificates, time.time, settings.google_hosted_domain or None
    )
    return Authenticator([keys, stored, google], workspaces, flags)
