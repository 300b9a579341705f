"""Conversations of many turns, replayed through the gateway's own turn in this process.

Every turn is the real one, from admission to the stored receipt, over a store in a file. Nothing
goes over a socket.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import orjson

from gateway.chat import prompt as prompt_module
from gateway.chat.admission import Admission
from gateway.chat.answers import Answers
from gateway.chat.caching import ResponseCache
from gateway.chat.call import Call
from gateway.chat.claims import Claims
from gateway.chat.compression import CompressionOptions, Compressor
from gateway.chat.delivery import Delivery
from gateway.chat.economics import Prices
from gateway.chat.estimates import Sizes
from gateway.chat.finisher import Finisher
from gateway.chat.models import Models, PriceList
from gateway.chat.pipeline import Pipeline
from gateway.chat.prefills import Prefills
from gateway.chat.threads import Threads
from gateway.chat.wire import parse_chat
from gateway.documents.sqlite import SqliteDocuments
from gateway.identity.base import Identity
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter
from gateway.memory.log import MessageLog
from gateway.memory.recall import IndexCache, Recall
from gateway.memory.records import new_id
from gateway.redaction.redaction import Redaction
from gateway.retrieval.base import Ranker
from gateway.retrieval.lexical import LexicalRanker
from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.base import Upstream
from limits.clock import Clock
from support.flags import switched_on
from support.memories import NOON
from support.prefix_cache import Bill, CacheRule, Encoded, PrefixCache, PrefixCachingUpstream

Json = dict[str, Any]

OWNER = Identity("key:replay", "key:replay")
SESSION = "replay"
TURN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Script:
    """A conversation: each turn is a question and its answer."""

    name: str
    turns: Sequence[tuple[str, str]]
    instructions: str = "You are a helpful assistant."

    def prompts(self) -> Iterator[list[Json]]:
        """What a client that resends everything sends at each turn."""
        history: list[Json] = [{"role": "system", "content": self.instructions}]
        for question, answer in self.turns:
            history.append({"role": "user", "content": question})
            yield list(history)
            history.append({"role": "assistant", "content": answer})


def made_up(turns: int, seed: int, *, question_words: int, answer_words: int) -> Script:
    """A conversation on ten subjects that come back, in words that mean nothing."""
    random = Random(seed)
    subjects = [[_word(random) for _ in range(60)] for _ in range(10)]
    said = []
    for _ in range(turns):
        words = random.choice(subjects)
        question = " ".join(random.choices(words, k=question_words))
        answer = " ".join(random.choices(words, k=answer_words))
        said.append((f"{question}?", f"{answer}."))
    return Script("made up", said)


def _word(random: Random) -> str:
    return "".join(random.choice("bdfklmnprst") + random.choice("aeiou") for _ in range(3))


@dataclass(frozen=True, slots=True)
class Replay:
    """What the upstream billed for each prompt, and each turn's receipt and headers."""

    bills: Sequence[Bill]
    prompts: Sequence[Sequence[Json]] = ()
    receipts: Sequence[Json] = ()
    headers: Sequence[Mapping[str, str]] = ()

    @property
    def total(self) -> Bill:
        return sum(self.bills, Bill())

    def dollars(self, prices: Prices) -> float:
        return sum(prices.prompt_cost(bill.prompt, bill.cached) for bill in self.bills)


def full_history(script: Script, rule: CacheRule, encoded: Encoded) -> Replay:
    """Without a gateway: everything said, at every turn."""
    return Replay(billed(list(script.prompts()), rule, encoded))


def billed(prompts: Sequence[Sequence[Json]], rule: CacheRule, encoded: Encoded) -> list[Bill]:
    """What the same prompts cost at an upstream with this rule."""
    cache = PrefixCache(rule, encoded)
    return [cache.bill(messages) for messages in prompts]


async def through_gateway(
    script: Script,
    rule: CacheRule,
    encoded: Encoded,
    folder: Path,
    options: CompressionOptions,
    ranker: Ranker | None = None,
    *,
    resends: bool = True,
) -> Replay:
    """`resends` is false for a client that sends its instructions and what is new."""
    upstream = PrefixCachingUpstream(
        PrefixCache(rule, encoded), iter([answer for _, answer in script.turns])
    )
    documents = SqliteDocuments(str(folder / "replay.db"))
    clock = Clock(NOON)
    pipeline = _pipeline(documents, clock, options, upstream, ranker or LexicalRanker(0.08))
    log, headers = MessageLog(documents, clock, Random(7)), []
    try:
        for messages in script.prompts():
            clock.now += TURN_SECONDS
            said = messages if resends else [messages[0], messages[-1]]
            body = orjson.dumps({"model": "m", "messages": said})
            reply = await pipeline.complete(OWNER, parse_chat(body), Call(session=SESSION))
            headers.append(dict(reply.headers))
        told = [one.receipt for one in await log.messages(OWNER.owner, SESSION) if one.receipt]
    finally:
        await documents.close()
    receipts = [dict(one) for one in told]
    assert [one["id"] for one in receipts] == [one["x-memory-receipt"] for one in headers]
    return Replay(upstream.bills, upstream.prompts, receipts, headers)


def _pipeline(
    documents: SqliteDocuments,
    clock: Clock,
    options: CompressionOptions,
    upstream: Upstream,
    ranker: Ranker,
) -> Pipeline:
    randomness, tokenizer, sizes = Random(7), RsBpeTokenizer(), Sizes()
    limiter = Limiter(documents, clock, Limits(0, 0, 0), "closed", randomness)
    log, claims = MessageLog(documents, clock, randomness), Claims(documents, clock)
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
        switched_on(),
    )
    threads = Threads(documents, log, randomness)
    recall = Recall(documents, IndexCache(100_000_000))
    compressor = Compressor(recall, ranker, tokenizer, options, clock)
    cached = partial(switched_on().enabled, "ENABLE_RESPONSE_CACHE")
    return Pipeline(
        Models(None, PriceList()),
        Admission(limiter, threads, compressor, sizes, switched_on()),
        claims,
        Redaction(enabled=False),
        compressor,
        Prefills(ranker),
        Answers(upstream, ResponseCache(documents, cached, 0, clock)),
        Delivery(finisher),
        clock,
        randomness,
    )


@contextlib.contextmanager
def sliding_by_one() -> Iterator[None]:
    """The gateway with a window that moves at every turn."""

    def start(turns_before: int, recent: int) -> int:
        return max(0, turns_before - recent)

    with mock.patch.object(prompt_module, "window_start", start):
        yield
