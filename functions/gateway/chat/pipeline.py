"""One turn, from the request to the stored answer. Read `complete` from top to bottom."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

from gateway.accounts.flags import Flags
from gateway.chat.caching import ResponseCache
from gateway.chat.chat_completions import ChatCompletions
from gateway.chat.claims import Claim, Claims, StoredAnswer
from gateway.chat.compression import Compressor, Prompt, Status
from gateway.chat.conversation import conversation_of, held_elsewhere
from gateway.chat.dialect import Dialect
from gateway.chat.economics import Prices
from gateway.chat.estimates import Sizes, bound_of
from gateway.chat.finisher import Finisher
from gateway.chat.models import KnownModel, Models, PriceList
from gateway.chat.prefills import Prefills
from gateway.chat.relay import Relay
from gateway.chat.replies import (
    Reply,
    kept_for_replay,
    passed_back,
    refused,
    replayed,
    turn_headers,
)
from gateway.chat.spending import held_cost
from gateway.chat.threads import Spoken, Threads, aligned, spoken
from gateway.chat.turn import Turn
from gateway.chat.wire import ChatRequest, check_sizes, text_of
from gateway.errors import UpstreamFailed
from gateway.identity.base import Identity
from gateway.limits.base import Reservation
from gateway.limits.limiter import Limiter
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head, Owner
from gateway.memory.records import new_id
from gateway.redaction.redaction import Redaction
from gateway.redaction.redactor import Redactor
from gateway.telemetry.record import current
from gateway.telemetry.stages import begin_completion, stage
from gateway.upstream.asking import asked
from gateway.upstream.base import Upstream, UpstreamRequest, UpstreamResponse

MemoryMode = Literal["on", "read", "write", "off"]
EVENT_STREAM = "text/event-stream"
LARGE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """What the caller asked for beside the body. `forwarded` headers are already allow-listed."""

    mode: MemoryMode = "on"
    session: str | None = None
    idempotency_key: str | None = None
    forwarded: Mapping[str, str] = field(default_factory=dict)
    cached: bool | None = None
    dialect: Dialect = field(default_factory=ChatCompletions)
    abandoned: Callable[[], Awaitable[bool]] | None = None

    @property
    def reads(self) -> bool:
        return self.mode in {"on", "read"}

    @property
    def writes(self) -> bool:
        return self.mode in {"on", "write"}


class Pipeline:
    def __init__(
        self,
        limiter: Limiter,
        threads: Threads,
        compressor: Compressor,
        claims: Claims,
        upstream: Upstream,
        finisher: Finisher,
        prefills: Prefills,
        sizes: Sizes,
        clock: Callable[[], float],
        randomness: Random,
        flags: Flags,
        redaction: Redaction | None = None,
        models: Models | None = None,
        cache: ResponseCache | None = None,
    ) -> None:
        self._cache = cache
        self._models = models or Models(None, PriceList())
        self._redaction = redaction or Redaction(enabled=False)
        self._limiter = limiter
        self._threads = threads
        self._compressor = compressor
        self._claims = claims
        self._upstream = upstream
        self._finisher = finisher
        self._prefills = prefills
        self._sizes = sizes
        self._clock = clock
        self._randomness = randomness
        self._flags = flags

    async def complete(self, caller: Identity, request: ChatRequest, call: Call) -> Reply:
        """Answer one chat request. Who is calling (1) the door has found out already."""
        started = self._clock()
        current().asks(request.model)
        if call.writes:
            check_sizes(request.messages)
        self._limiter.refuse_known(caller.subject, 0, caller.key)  # before anything is counted
        tokens = await self._counted(request)
        said = spoken(caller.owner, request.messages) if call.mode != "off" else []
        model = await self._models.known(request.model)

        # 2. Admit: one write, before any money is spent; session and flags are read meanwhile.
        with stage("admit"):
            reservation, loaded, call = await self._admit(
                caller, request, call, tokens, said, model.prices
            )
        try:
            claim = await self._claim(caller, request, call)
            if isinstance(claim, StoredAnswer):
                await self._limiter.settle(reservation, 0)
                return replayed(claim)
            redactor = await self._redactor(caller, call, said, loaded)
            turn = self._turn(
                caller, request, call, said, reservation, loaded, started, redactor, model, claim
            )
        except BaseException:
            await asyncio.shield(self._limiter.settle(reservation, 0))
            raise

        try:
            turn = await self._looked_up(caller, turn, call)
            # 3. Recall what could matter, and 4. compress: select it under the budget.
            turn = await self._held(await self._with_prompt(turn, call, tokens), call)
            told = turn.prompt
            current().prompted(told.tokens_before, told.tokens_after, told.retriever)
            # 5. Complete at the upstream, streamed or whole; the ranker reads on meanwhile.
            self._prefills.begin(turn)
            response = await self._answered(turn, call)
        except BaseException:
            await asyncio.shield(self._finisher.give_up(turn))
            raise

        # 6. Remember, inside the response and before its last bytes.
        return await self._reply(turn, response, call)

    async def _asked(self, turn: Turn, call: Call) -> UpstreamResponse:
        begin_completion(current().model, streamed=turn.request.stream)
        return await asked(self._upstream, self._outgoing(turn, call))

    async def _counted(self, request: ChatRequest) -> list[int]:
        """Tokens of each message; of long ones beside the loop: the tokenizer lets the GIL go."""
        if len(request.raw) < LARGE_BYTES:
            return self._compressor.count(request.messages)
        return await asyncio.to_thread(self._compressor.count, request.messages)

    async def _admit(
        self,
        caller: Identity,
        request: ChatRequest,
        call: Call,
        tokens: Sequence[int],
        said: Sequence[Spoken],
        prices: Prices | None,
    ) -> tuple[Reservation, Loaded, Call]:
        """With the call as it may be made: without memory, where that is switched off."""
        bound = bound_of(
            caller.owner,
            request,
            tokens,
            self._compressor.fixed_tokens(request.payload),
            self._compressor.options,
            self._sizes,
            reads=call.reads,
            session=call.session,
        )
        held = bound.within(self._limiter.tokens_per_minute(caller.subject, caller.key))
        cost = self._cost(caller.owner, request, held, prices)
        self._limiter.refuse_known(caller.subject, held, caller.key, cost)  # before a read
        nothing = Loaded(Owner(), Head(session=call.session or ""))
        admitting = self._limiter.admit(caller.subject, held, caller.key, cost)
        if call.mode == "off":
            return await admitting, nothing, call
        admission = asyncio.ensure_future(admitting)
        reading = asyncio.ensure_future(self._threads.find(caller.owner, call.session, said))
        switches = asyncio.ensure_future(self._flags.of(caller.owner))
        await asyncio.wait({admission, reading, switches})
        unread = reading.exception()
        if not switches.result()["ENABLE_CONTEXT_MEMORY"]:
            return admission.result(), nothing, replace(call, mode="off")
        if admission.exception() is None and unread is not None:
            await self._limiter.settle(admission.result(), 0)
        return admission.result(), reading.result(), call

    async def _claim(
        self, caller: Identity, request: ChatRequest, call: Call
    ) -> Claim | StoredAnswer | None:
        if call.idempotency_key is None:
            return None
        about = f"{call.mode} {call.session or ''} ".encode()
        return await self._claims.take(caller.owner, call.idempotency_key, about + request.raw)

    async def _redactor(
        self, caller: Identity, call: Call, said: Sequence[Spoken], loaded: Loaded
    ) -> Redactor:
        """With what is new in the request looked through."""
        if call.mode == "off":
            return Redactor(enabled=False)
        redactor = await self._redaction.of(caller.owner)
        if redactor.enabled:
            new = aligned(said, loaded.head).new
            await redactor.read([text_of(said[i].message) for i in new])
        return redactor

    def _turn(
        self,
        caller: Identity,
        request: ChatRequest,
        call: Call,
        said: Sequence[Spoken],
        reservation: Reservation,
        loaded: Loaded,
        started: float,
        redactor: Redactor,
        model: KnownModel,
        claim: Claim | None,
    ) -> Turn:
        bits = self._randomness.getrandbits
        current().in_session(caller.owner, loaded.head.session)
        return Turn(
            owner=caller.owner,
            request=request,
            said=said,
            message_ids={i: new_id(started, bits) for i in range(len(said))},
            loaded=loaded,
            prompt=Prompt(request.messages),
            reservation=reservation,
            started=started,
            key=new_id(started, bits, "k"),
            receipt_id=new_id(started, bits, "r"),
            writes=call.writes,
            redactor=redactor,
            model=model,
            claim=claim,
        )

    async def _looked_up(self, caller: Identity, turn: Turn, call: Call) -> Turn:
        """With the answer that an identical request had a moment ago, if it had one."""
        if self._cache is None:
            return turn
        about = f"{call.mode} {call.session or ''}"
        looked = await self._cache.look(caller, turn.request, about, call.cached)
        return replace(turn, cached=looked)

    async def _answered(self, turn: Turn, call: Call) -> UpstreamResponse:
        if turn.cached.answer is not None:
            return turn.cached.answer
        response = await self._asked(turn, call)
        if self._cache is None:
            return response
        return self._cache.keeping(response, turn.cached.place, call.dialect)

    async def _with_prompt(self, turn: Turn, call: Call, tokens: Sequence[int]) -> Turn:
        sent = self._compressor.as_sent(turn.request.payload, turn.request.messages, tokens)
        if turn.cached.answer is not None:
            status: Status = "miss" if call.reads else "off"
            sent = replace(sent, status=status, retriever="none; reason=response-cache")
            return replace(turn, prompt=sent)
        if not call.reads:
            return replace(turn, prompt=sent)
        conversation = conversation_of(
            turn.owner,
            turn.request,
            tokens,
            self._compressor.fixed_tokens(turn.request.payload),
            turn.said,
            turn.message_ids,
            turn.loaded,
            turn.started,
            turn.redactor,
            turn.model.prices,
        )
        if turn.request.chained:
            conversation = held_elsewhere(conversation)
        prompt = await self._compressor.compress(conversation)
        if not turn.model.takes(prompt.tokens_after) and turn.model.takes(sent.tokens_after):
            prompt = replace(sent, status="miss", retriever="none; reason=context-length")
        return replace(turn, prompt=prompt)

    async def _held(self, turn: Turn, call: Call) -> Turn:
        """Hold more tokens where the prompt has outgrown what was reserved for it.

        Raises `BadRequest` for a prompt that the model cannot take; with memory off the upstream
        says so itself.
        """
        if call.mode != "off" and not turn.model.takes(turn.prompt.tokens_after):
            raise turn.model.too_long(turn.prompt.tokens_after)
        self._sizes.learn_history(turn.owner, turn.loaded.head.session, turn.prompt.tokens_after)
        needed = turn.prompt.tokens_after + (turn.request.max_completion_tokens or 0)
        if needed <= turn.reservation.tokens:
            return turn
        cost = self._cost(turn.owner, turn.request, needed, turn.model.prices)
        extended = await self._limiter.extend(turn.reservation, needed, cost)
        return replace(turn, reservation=extended)

    def _cost(self, owner: str, request: ChatRequest, tokens: int, prices: Prices | None) -> int:
        """What so many `tokens` of prompt and answer may cost, in micro-dollars."""
        answer = request.max_completion_tokens
        if answer is None:
            answer = self._sizes.expected(owner, request.model) * request.choices
        return held_cost(prices or self._compressor.options.prices, tokens, answer)

    def _outgoing(self, turn: Turn, call: Call) -> UpstreamRequest:
        headers, body = call.forwarded, turn.request.raw
        if call.mode != "off":  # the body is read as JSON, whatever the client called it
            headers = {**headers, "content-type": "application/json"}
            body = call.dialect.body(turn.request, turn.prompt)
        model = turn.request.model
        return UpstreamRequest("POST", call.dialect.path, headers, body, model, call.abandoned)

    async def _reply(self, turn: Turn, response: UpstreamResponse, call: Call) -> Reply:
        headers = {**passed_back(response.headers), **turn_headers(turn)}
        streamed = response.headers.get("content-type", "").startswith(EVENT_STREAM)
        if response.status == 200 and streamed:
            hide_usage = call.mode != "off" and not turn.request.wants_usage
            relay = Relay(
                turn,
                response,
                self._finisher,
                call.dialect,
                hide_usage=hide_usage,
                headers=kept_for_replay(headers),
            )
            return Reply(200, headers, relay)
        body = await self._read(turn, response)
        if response.status != 200:
            await self._finisher.give_up(turn)
            return refused(response.status, headers, body, as_it_is=call.mode == "off")
        completion = call.dialect.whole(body)
        if completion is None and call.mode != "off":
            await self._finisher.give_up(turn)
            raise UpstreamFailed(f"The upstream's answer is none of {call.dialect.path}.")
        completion = completion or call.dialect.begun()
        if completion.failed:
            await self._finisher.give_up(turn, completion)
            return Reply(200, headers, body)
        answer = StoredAnswer(200, kept_for_replay(headers), body)
        await self._finisher.remember(turn, completion, answer)
        return Reply(200, headers, body)

    async def _read(self, turn: Turn, response: UpstreamResponse) -> bytes:
        try:
            return await response.read()
        except BaseException:
            await asyncio.shield(self._finisher.give_up(turn))
            raise
        finally:
            await response.close()
