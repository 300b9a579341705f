"""What a whole turn costs at the store, admission and settlement included."""

from random import Random

import orjson
import pytest

from gateway.chat.claims import Claims
from gateway.chat.compression import CompressionOptions, Compressor
from gateway.chat.estimates import Sizes
from gateway.chat.finisher import Finisher
from gateway.chat.pipeline import Call, Pipeline
from gateway.chat.prompt import OPENING
from gateway.chat.threads import Threads
from gateway.chat.wire import parse_chat
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.identity.base import Identity
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter
from gateway.memory.recall import IndexCache, Recall
from gateway.memory.records import new_id
from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.preview import PreviewUpstream
from support.memories import ALICE, Scribe


@pytest.fixture
def pipeline(documents: MeteredDocuments, scribe: Scribe) -> Pipeline:
    clock, randomness, log = scribe.clock, scribe.randomness, scribe.log
    tokenizer, claims = RsBpeTokenizer("o200k_base"), Claims(documents, clock)
    limits = Limits(1_000, 10_000_000, global_requests_per_minute=0)  # its shard would be a write
    limiter = Limiter(documents, clock, limits, "closed", Random(7))
    finisher = Finisher(
        log,
        limiter,
        claims,
        tokenizer,
        Sizes(),
        clock,
        lambda: new_id(clock(), randomness.getrandbits),
        prices=None,
        answers_are_memories=True,
    )
    return Pipeline(
        limiter,
        Threads(documents, log, randomness),
        Compressor(
            Recall(documents, IndexCache(1_000_000)), tokenizer, CompressionOptions(), clock
        ),
        claims,
        PreviewUpstream(tokenizer.count, OPENING, clock),
        finisher,
        Sizes(),
        clock,
        randomness,
    )


async def turn(
    pipeline: Pipeline, documents: MeteredDocuments, text: str, call: Call
) -> tuple[int, int]:
    """The reads and writes of one turn."""
    documents.reset()
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}]})
    reply = await pipeline.complete(Identity(ALICE, ALICE), parse_chat(body), call)
    assert reply.status == 200
    counted: Operations = documents.reset()
    assert counted.deletes == 0
    return counted.reads, counted.writes


async def test_a_plain_turn_costs_two_reads_and_three_writes(
    pipeline: Pipeline, documents: MeteredDocuments
) -> None:
    """The owner and the head; the admission, the head and the settlement."""
    await turn(pipeline, documents, "Hello", Call(session="s"))
    for n in range(10):
        assert await turn(pipeline, documents, f"And then? {n}", Call(session="s")) == (2, 3)


async def test_an_idempotency_key_costs_two_writes_more(
    pipeline: Pipeline, documents: MeteredDocuments
) -> None:
    """The claim before, the answer after."""
    await turn(pipeline, documents, "Hello", Call(session="s"))
    call = Call(session="s", idempotency_key="k1")
    assert await turn(pipeline, documents, "And then?", call) == (2, 5)


async def test_every_other_open_session_costs_a_read(
    pipeline: Pipeline, documents: MeteredDocuments
) -> None:
    for session in ("a", "b", "c", "s"):
        await turn(pipeline, documents, "Hello", Call(session=session))
    first = await turn(pipeline, documents, "And then?", Call(session="s"))
    assert first == (2 + 3, 3)
