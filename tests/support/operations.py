"""What each thing a person does costs at the store: the cases, played on a gateway in this process.

Everything of a turn is real but the upstream, which says the same few words; the clock stands, so
that no midnight adds its read. A past is written as turns would have written it, with receipts.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from random import Random
from typing import Any

import orjson

from gateway.accounts.flags import Flags
from gateway.chat.admission import Admission
from gateway.chat.answers import Answers
from gateway.chat.caching import ResponseCache
from gateway.chat.call import Call
from gateway.chat.claims import Claims
from gateway.chat.compressing import CompressionDesk
from gateway.chat.compression import CompressionOptions, Compressor
from gateway.chat.delivery import Delivery
from gateway.chat.estimates import Sizes
from gateway.chat.finisher import Finisher
from gateway.chat.models import Models, PriceList
from gateway.chat.pipeline import Pipeline
from gateway.chat.prefills import Prefills
from gateway.chat.threads import Threads
from gateway.chat.wire import parse_chat
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.errors import RateLimited
from gateway.identity.base import Identity
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter
from gateway.memory.edits import Edits
from gateway.memory.recall import IndexCache, Recall
from gateway.memory.receipts import Receipts
from gateway.memory.records import Record, new_id
from gateway.memory.segments import OPEN_SESSIONS, TAIL_TURNS
from gateway.portability.erasure import Erasure
from gateway.portability.export import Export
from gateway.redaction.redaction import Redaction
from gateway.retrieval.lexical import LexicalRanker
from gateway.settings import Settings
from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.base import UpstreamRequest, UpstreamResponse
from gateway.wiring import options
from support.flags import switched_on
from support.memories import ALICE, Scribe
from support.upstream import completion

SESSION = "s0"
POINTER = "0" * 16
BATCH = 100  # turns of a past that one commit brings
WARMING = 3  # turns: one reads eight documents at most
BACKUP_DAYS = 7
CACHE_BYTES = 100_000_000
PLENTY = 1_000_000_000

Json = dict[str, Any]


class Terse:
    """An upstream that answers in four words, and is its own answer."""

    answers_are_memories = True
    status = 200
    headers: Mapping[str, str] = {"content-type": "application/json"}

    async def send(self, _: UpstreamRequest) -> UpstreamResponse:
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        yield await self.read()

    async def read(self) -> bytes:
        return orjson.dumps(completion("Noted, with many thanks."))

    async def close(self) -> None:
        pass


class Gateway:
    """One instance of the service over `documents`; a second one over the same store is cold."""

    def __init__(
        self,
        documents: MeteredDocuments,
        scribe: Scribe,
        limits: Limits | None = None,
        flags: Flags | None = None,
    ) -> None:
        clock, randomness, self.log = scribe.clock, scribe.randomness, scribe.log
        tokenizer, claims, sizes = RsBpeTokenizer(), Claims(documents, clock), Sizes()
        granted = limits or Limits(PLENTY, PLENTY, global_requests_per_minute=0)
        limiter = Limiter(documents, clock, granted, "closed", Random(7))
        threads = Threads(documents, self.log, randomness)
        recall = Recall(documents, IndexCache(CACHE_BYTES))
        ranker = LexicalRanker()
        compressor = Compressor(recall, ranker, tokenizer, CompressionOptions(), clock)
        finisher = Finisher(
            self.log,
            limiter,
            claims,
            tokenizer,
            sizes,
            clock,
            lambda: new_id(clock(), randomness.getrandbits),
            prices=None,
            answers_are_memories=True,
            flags=flags or switched_on(),
        )
        redaction = Redaction(enabled=False)
        cached = partial(switched_on().enabled, "ENABLE_RESPONSE_CACHE")
        cache = ResponseCache(documents, cached, 0, clock)
        self._pipeline = Pipeline(
            Models(None, PriceList()),
            Admission(limiter, threads, compressor, sizes, flags or switched_on()),
            claims,
            redaction,
            compressor,
            Prefills(ranker),
            Answers(Terse(), cache),
            Delivery(finisher),
            clock,
            randomness,
        )
        self._desk = CompressionDesk(
            limiter, threads, compressor, clock, randomness, flags or switched_on(), redaction
        )
        self.receipts = Receipts(documents)
        self.erasure = Erasure(documents, ranker, clock, BACKUP_DAYS)
        self.edits = Edits(documents, Random(7), tokenizer.count)
        self._export = Export(documents, {})

    async def says(
        self, *messages: str | Json, session: str | None = SESSION, key: str | None = None
    ) -> Json:
        """The answer to a request that must succeed; a string is the user's."""
        said = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
        chat = parse_chat(orjson.dumps({"model": "m", "messages": said}))
        call = Call(session=session, idempotency_key=key)
        reply = await self._pipeline.complete(Identity(ALICE, ALICE), chat, call)
        assert isinstance(reply.body, bytes)
        answer: Json = orjson.loads(reply.body)
        assert reply.status == 200, answer
        return {"role": "assistant", "content": answer["choices"][0]["message"]["content"]}

    async def is_refused(self, text: str) -> None:
        try:
            await self.says(text)
        except RateLimited:
            return
        raise AssertionError("it was let through")

    async def compresses(self, text: str) -> None:
        said = [{"role": "user", "content": text}]
        chat = parse_chat(orjson.dumps({"messages": said}), needs_model=False)
        answer, _ = await self._desk.compress(
            Identity(ALICE, ALICE), chat, Call(), with_memory=True
        )
        assert not answer["compression_skipped"]

    async def exports(self) -> None:
        told = [line["type"] async for line in self._export.lines(ALICE)]
        assert told[-1] == "end"


class Past:
    """Somebody's past in a store, whose operations are counted from `cost` on."""

    def __init__(self, documents: MeteredDocuments, seed: int = 7) -> None:
        self.documents = documents
        self.scribe = Scribe(documents, seed=seed)
        self._words = Random(seed)

    def gateway(self, **limits: int) -> Gateway:
        granted = Limits(**{**UNLIMITED, **limits})
        return Gateway(self.documents, self.scribe, granted)

    def gateway_that_knows_no_flags(self) -> Gateway:
        defaults = options.flags(Settings(_env_file=None))
        flags = Flags(self.documents, self.scribe.clock, defaults)
        return Gateway(self.documents, self.scribe, Limits(**UNLIMITED), flags)

    async def of(self, turns: int, sessions: int = 1) -> None:
        """`turns` turns in the last of `sessions` open sessions, whose tail has room for more."""
        for n in reversed(range(sessions)):
            count = turns if n == 0 else 1
            for start in range(0, count, BATCH):
                told = [self._turn(k) for k in range(start, min(count, start + BATCH))]
                records = [record for turn in told for record in turn]
                await self.scribe.append(f"s{n}", *records, fingerprint=POINTER)

    async def cost(self, act: Awaitable[Any]) -> Operations:
        self.documents.reset()
        await act
        return self.documents.reset()

    def _turn(self, number: int) -> list[Record]:
        """25 and 60 words and the receipt of eight lines: about 2 KiB as stored."""
        question = f"Question {number}: {self._said(25)}"
        self.scribe.clock.now += 1
        asked = self.scribe.record("user", question, receipt=self._receipt())
        return [asked, self.scribe.record("assistant", self._said(60))]

    def _said(self, words: int) -> str:
        """Words as Zipf has them: common ones most of the time, every tenth a rarer one."""
        numbers = (min(int(self._words.paretovariate(0.7)), 20_000) for _ in range(words))
        return " ".join(f"w{number}" for number in numbers)

    def _receipt(self) -> Json:
        bits, now = self.scribe.randomness.getrandbits, self.scribe.clock()
        lines = [
            {"id": new_id(now, bits), "score": 0.1234, "rank": rank, "tokens": 40}
            for rank in range(8)
        ]
        layout = {"instructions": 0, "verbatim": 1, "cut": 0, "remembered": 8}
        tokens = {"before": 4000, "after": 2400, "saved": 1600, "completion": 80}
        told = {"model": "m", "status": "hit", "retriever": "lexical; reason=configured"}
        id = new_id(now, bits, "r")
        return {"id": id, "created_at": now, **told, "lines": lines, "layout": layout, **tokens}


UNLIMITED: Mapping[str, int] = {
    "requests_per_minute": PLENTY,
    "tokens_per_minute": PLENTY,
    "global_requests_per_minute": 0,
}
Case = Callable[[Past], Awaitable[Operations]]


def turn_after(turns: int, *, warm: bool, sessions: int = 1) -> Case:
    """One more turn, on an instance that has been asked of this before or on a fresh one."""

    async def play(past: Past) -> Operations:
        await past.of(turns, sessions)
        gateway = past.gateway()
        for n in range(WARMING if warm else 0):
            await gateway.says(f"What did I say of w77 and w1234? {n}")
        return await past.cost(gateway.says("And what did I say of w77 and w1234?"))

    return play


async def first_turn(past: Past) -> Operations:
    return await past.cost(past.gateway().says("Hello"))


async def first_turn_of_a_fifth_session(past: Past) -> Operations:
    await past.of(20, OPEN_SESSIONS)
    return await past.cost(past.gateway().says("Hello", session="fifth"))


async def turn_under_a_global_limit(past: Past) -> Operations:
    await past.of(20)
    gateway = past.gateway(global_requests_per_minute=1000)
    return await past.cost(gateway.says("And then?"))


async def turn_that_reads_the_flags(past: Past) -> Operations:
    """The first one of an owner's in a minute, on this instance."""
    await past.of(20)
    return await past.cost(past.gateway_that_knows_no_flags().says("And then?"))


async def turn_after_the_flags_were_read(past: Past) -> Operations:
    await past.of(20)
    gateway = past.gateway_that_knows_no_flags()
    await gateway.says("And then?")
    return await past.cost(gateway.says("And after that?"))


async def turn_that_outgrew_its_bound(past: Past) -> Operations:
    """What is sent of a session is known only once it is read."""
    told = [one for _ in range(6) for one in past.scribe.turn("word " * 1000)]
    await past.scribe.append(SESSION, *told, fingerprint=POINTER)
    return await past.cost(past.gateway().says("And then?"))


async def turn_with_a_key(past: Past) -> Operations:
    await past.of(20)
    return await past.cost(past.gateway().says("And then?", key="k"))


async def turn_repeated_with_its_key(past: Past) -> Operations:
    await past.of(20)
    gateway = past.gateway()
    await gateway.says("And then?", key="k")
    return await past.cost(gateway.says("And then?", key="k"))


async def turn_found_by_its_beginning(past: Past) -> Operations:
    gateway, asked = past.gateway(), {"role": "user", "content": "Hello"}
    answer = await gateway.says(asked, session=None)
    return await past.cost(gateway.says(asked, answer, "And then?", session=None))


async def edited_question(past: Past) -> Operations:
    gateway, asked = past.gateway(), {"role": "user", "content": "What is a lake in Finland?"}
    answer = await gateway.says(asked)
    await gateway.says(asked, answer, "And which one is the largest lake of all?")
    return await past.cost(gateway.says(asked, answer, "And which one is the deepest lake of all?"))


async def rollover(past: Past) -> Operations:
    await past.of(BATCH + TAIL_TURNS // 4)
    gateway = past.gateway()
    for n in range(TAIL_TURNS):
        counted = await past.cost(gateway.says(f"And then? {n}"))
        if counted.writes != 3:
            return counted
    raise AssertionError("the tail never overflowed")


async def refused(past: Past) -> Operations:
    gateway = past.gateway(requests_per_minute=1)
    await gateway.says("Hello")
    return await past.cost(gateway.is_refused("And then?"))


async def refused_again(past: Past) -> Operations:
    gateway = past.gateway(requests_per_minute=1)
    await gateway.says("Hello")
    await gateway.is_refused("And then?")
    return await past.cost(gateway.is_refused("And then?"))


async def compression_with_memory(past: Past) -> Operations:
    await past.of(200)
    return await past.cost(past.gateway().compresses("What did I say of w77 and w1234?"))


async def reading_a_session(past: Past) -> Operations:
    await past.of(200)
    return await past.cost(past.gateway().log.messages(ALICE, SESSION))


async def reading_a_receipt(past: Past) -> Operations:
    await past.of(200)
    log = past.gateway().log
    oldest = (await log.messages(ALICE, SESSION))[0].receipt
    assert oldest is not None
    return await past.cost(past.gateway().receipts.find(ALICE, str(oldest["id"])))


async def editing_a_message(past: Past) -> Operations:
    """One that lies in a segment: its session's head and the owner's manifest change with it."""
    await past.of(200)
    gateway = past.gateway()
    oldest = (await gateway.log.messages(ALICE, SESSION))[0].id
    return await past.cost(gateway.edits.edit(ALICE, oldest, content="Edited."))


async def deleting_a_message(past: Past) -> Operations:
    await past.of(200)
    gateway = past.gateway()
    oldest = (await gateway.log.messages(ALICE, SESSION))[0].id
    return await past.cost(gateway.edits.delete(ALICE, oldest))


async def exporting(past: Past) -> Operations:
    await past.of(200)
    return await past.cost(past.gateway().exports())


async def listing_sessions(past: Past) -> Operations:
    await past.of(20, OPEN_SESSIONS)
    return await past.cost(past.gateway().log.sessions(ALICE, limit=101))


async def deleting_a_session(past: Past) -> Operations:
    await past.of(200)
    return await past.cost(past.gateway().log.delete_session(ALICE, SESSION))


async def erasing(past: Past) -> Operations:
    await past.of(2000, OPEN_SESSIONS)
    return await past.cost(past.gateway().erasure.erase(ALICE))


CASES: Mapping[str, Case] = {
    "a person's first turn": first_turn,
    "a turn after 20, cold": turn_after(20, warm=False),
    "a turn after 20, warm": turn_after(20, warm=True),
    "a turn after 200, cold": turn_after(200, warm=False),
    "a turn after 200, warm": turn_after(200, warm=True),
    "a turn after 2,000, cold": turn_after(2000, warm=False),
    "a turn after 2,000, warm": turn_after(2000, warm=True),
    "a turn after 20, cold, 4 open sessions": turn_after(20, warm=False, sessions=4),
    "a turn after 20, warm, 4 open sessions": turn_after(20, warm=True, sessions=4),
    "a turn after 2,000, cold, 4 open sessions": turn_after(2000, warm=False, sessions=4),
    "a turn after 2,000, warm, 4 open sessions": turn_after(2000, warm=True, sessions=4),
    "a turn under a global limit": turn_under_a_global_limit,
    "a turn that reads the flags": turn_that_reads_the_flags,
    "a turn within a minute of it": turn_after_the_flags_were_read,
    "a turn whose prompt outgrew its bound": turn_that_outgrew_its_bound,
    "a turn with an Idempotency-Key": turn_with_a_key,
    "the same request again": turn_repeated_with_its_key,
    "a turn found by its beginning": turn_found_by_its_beginning,
    "an edited question": edited_question,
    "a turn whose tail rolls over": rollover,
    "the first turn of a fifth session": first_turn_of_a_fifth_session,
    "a refused request": refused,
    "a request refused from memory": refused_again,
    "/v1/compress with memory after 200, cold": compression_with_memory,
    "reading back a session of 200": reading_a_session,
    "reading a receipt of 200 turns": reading_a_receipt,
    "editing a message": editing_a_message,
    "deleting a message": deleting_a_message,
    "exporting 200 turns": exporting,
    "listing four sessions": listing_sessions,
    "deleting a session of 200": deleting_a_session,
    "erasing a person of 2,000 turns": erasing,
}
