"""What the routes share, made once for an app: the store, the ranker, the limiter, and so on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from random import Random
from typing import TYPE_CHECKING

import httpx

from gateway.accounts.flags import Flags
from gateway.accounts.keys import Keys
from gateway.accounts.workspaces import Workspaces
from gateway.chat.models import Models
from gateway.documents.metered import MeteredDocuments
from gateway.identity.base import Authenticator
from gateway.identity.google import CertificateSource
from gateway.identity.stored import StoredKeyVerifier
from gateway.limits.limiter import Limiter
from gateway.limits.overrides import Overrides
from gateway.memory.log import MessageLog
from gateway.memory.recall import IndexCache
from gateway.memory.records import new_id
from gateway.redaction.redaction import Redaction
from gateway.retrieval.lexical import LexicalRanker
from gateway.settings import Settings
from gateway.tokens.base import Tokenizer
from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.base import Upstream
from gateway.upstream.catalogue import Catalogue
from gateway.upstream.openai import make_client
from gateway.wiring import options
from gateway.wiring.adapters import documents_from, door_from, ranker_from, upstream_from

if TYPE_CHECKING:  # a cold start's first answer needs none of these
    from gateway.memory.archived import Archived
    from gateway.memory.edits import Edits
    from gateway.memory.intake import Intake
    from gateway.retrieval.remote import RemoteRanker
    from gateway.search.library import Library
    from gateway.search.newest import Newest
    from gateway.search.search import Search

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Parts:
    settings: Settings
    randomness: Random
    clock: Callable[[], float]
    documents: MeteredDocuments
    client: httpx.AsyncClient
    tokenizer: Tokenizer
    upstream: Upstream
    catalogue: Catalogue
    models: Models
    workspaces: Workspaces
    flags: Flags
    keys: Keys
    stored_keys: StoredKeyVerifier
    overrides: Overrides
    certificates: CertificateSource
    door: Authenticator
    limiter: Limiter
    log: MessageLog
    cache: IndexCache
    redaction: Redaction
    ranker: "LexicalRanker | RemoteRanker"
    make_search: "Callable[[], Search]"

    @property
    def search(self) -> "Search":
        """The same for all who ask: what it knows of a memory is worth keeping."""
        return self.make_search()

    @property
    def intake(self) -> "Intake":
        from gateway.memory.intake import Intake

        return Intake(self.log, self.clock, self.randomness)

    @property
    def edits(self) -> "Edits":
        from gateway.memory.edits import Edits

        return Edits(self.documents, self.randomness, self.tokenizer.count)

    @property
    def archived(self) -> "Archived":
        from gateway.memory.archived import Archived

        return Archived(self.documents, self.clock, self.randomness)

    @property
    def library(self) -> "Library":
        from gateway.search.library import Library

        return Library(self.documents, self.cache)

    @property
    def newest(self) -> "Newest":
        from gateway.search.newest import Newest

        return Newest(self.documents)

    def new_id(self) -> str:
        return new_id(self.clock(), self.randomness.getrandbits)


def parts(settings: Settings, randomness: Random) -> Parts:
    clock, client = time.time, make_client()
    documents = MeteredDocuments(documents_from(settings.store_url))
    tokenizer = RsBpeTokenizer(settings.tokenizer)
    upstream = upstream_from(settings, client, tokenizer)
    catalogue = Catalogue(upstream, documents, clock)
    workspaces = Workspaces(documents, clock, randomness)
    flags = Flags(documents, time.monotonic, options.flags(settings))
    keys = Keys(documents, clock, randomness)
    stored_keys = StoredKeyVerifier(keys, clock)
    overrides = Overrides(documents, clock, randomness)
    certificates = CertificateSource(client, settings.google_certs_url, clock)
    indexes = IndexCache(settings.max_memory_mb * MEGABYTE)
    ranker = ranker_from(settings)
    redaction = Redaction(partial(flags.enabled, "ENABLE_REDACTION"))
    return Parts(
        settings=settings,
        randomness=randomness,
        clock=clock,
        documents=documents,
        client=client,
        tokenizer=tokenizer,
        upstream=upstream,
        catalogue=catalogue,
        models=Models(catalogue, options.price_list(settings)),
        workspaces=workspaces,
        flags=flags,
        keys=keys,
        stored_keys=stored_keys,
        overrides=overrides,
        certificates=certificates,
        door=door_from(settings, certificates, workspaces, stored_keys, flags),
        limiter=Limiter(
            documents,
            clock,
            options.limits(settings),
            settings.limiter_failure,
            randomness,
            overrides,
        ),
        log=MessageLog(documents, clock, randomness),
        cache=indexes,
        ranker=ranker,
        redaction=redaction,
        make_search=cache(lambda: _search(settings, documents, indexes, ranker, clock, redaction)),
    )


def _search(
    settings: Settings,
    documents: MeteredDocuments,
    indexes: IndexCache,
    ranker: "LexicalRanker | RemoteRanker",
    clock: Callable[[], float],
    redaction: Redaction,
) -> "Search":
    from gateway.search.library import Library
    from gateway.search.search import Search

    weights = options.weights(settings)
    return Search(Library(documents, indexes), ranker, weights, clock, redaction)
