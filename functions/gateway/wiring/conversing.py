"""Chat, compression and the upstream's models."""

from functools import partial

from starlette.routing import Route

from gateway.chat.admission import Admission
from gateway.chat.answers import Answers
from gateway.chat.caching import ResponseCache
from gateway.chat.claims import Claims
from gateway.chat.compressing import CompressionDesk
from gateway.chat.compression import Compressor
from gateway.chat.delivery import Delivery
from gateway.chat.embedding import Embedding
from gateway.chat.estimates import Sizes
from gateway.chat.finisher import Finisher
from gateway.chat.names import Names
from gateway.chat.pipeline import Pipeline
from gateway.chat.prefills import Prefills
from gateway.chat.threads import Threads
from gateway.memory.recall import Recall
from gateway.responses.responding import Responding
from gateway.routes.chat import chat_routes
from gateway.routes.embeddings import embedding_routes
from gateway.routes.models import ModelRoutes
from gateway.routes.responding import responding_routes
from gateway.wiring import options
from gateway.wiring.parts import Parts


def _cache(parts: Parts) -> ResponseCache:
    enabled = partial(parts.flags.enabled, "ENABLE_RESPONSE_CACHE")
    seconds = parts.settings.response_cache_ttl_seconds
    return ResponseCache(parts.documents, enabled, seconds, parts.clock)


def conversing(parts: Parts) -> list[Route]:
    settings, clock, randomness = parts.settings, parts.clock, parts.randomness
    chosen = options.compression(settings)
    threads = Threads(parts.documents, parts.log, randomness)
    recall = Recall(parts.documents, parts.cache, parts.log.kept)
    compressor = Compressor(recall, parts.ranker, parts.tokenizer, chosen, clock)
    claims, sizes = Claims(parts.documents, clock), Sizes()
    names = Names(parts.documents, clock)
    finisher = Finisher(
        parts.log,
        parts.limiter,
        claims,
        parts.tokenizer,
        sizes,
        clock,
        parts.new_id,
        chosen.prices,
        parts.upstream.answers_are_memories,
        parts.flags,
        names,
    )
    pipeline = Pipeline(
        parts.models,
        Admission(parts.limiter, threads, compressor, sizes, parts.flags),
        claims,
        parts.redaction,
        compressor,
        Prefills(parts.ranker),
        Answers(parts.upstream, _cache(parts)),
        Delivery(finisher),
        clock,
        randomness,
    )
    desk = CompressionDesk(
        parts.limiter, threads, compressor, clock, randomness, parts.flags, parts.redaction
    )
    return [
        *chat_routes(parts.door, pipeline, desk, settings.max_body_bytes),
        *responding_routes(
            parts.door, Responding(pipeline, names, parts.limiter), settings.max_body_bytes
        ),
        *embedding_routes(
            parts.door,
            Embedding(parts.limiter, parts.upstream, parts.tokenizer, parts.models),
            settings.max_body_bytes,
        ),
        *ModelRoutes(parts.door, parts.catalogue).routes(),
    ]
