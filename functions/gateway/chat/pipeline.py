"""One turn, from the request to the stored answer. Read `complete` from top to bottom."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from gateway.chat.admission import Admission, Admitted
from gateway.chat.answers import Answers
from gateway.chat.call import Call
from gateway.chat.claims import Claim, Claims, StoredAnswer
from gateway.chat.compression import Compressor
from gateway.chat.conversation import conversation_of, held_elsewhere
from gateway.chat.delivery import Delivery
from gateway.chat.models import KnownModel, Models
from gateway.chat.prefills import Prefills
from gateway.chat.prompt import Prompt, Status
from gateway.chat.replies import Reply, replayed
from gateway.chat.threads import Spoken, aligned, spoken
from gateway.chat.turn import Turn
from gateway.chat.wire import LARGE_BYTES, ChatRequest, check_sizes, text_of
from gateway.identity.base import Identity
from gateway.memory.growth import Loaded
from gateway.memory.records import new_id
from gateway.redaction.redaction import Redaction
from gateway.redaction.redactor import Redactor
from gateway.telemetry.record import current
from gateway.telemetry.stages import stage


class Pipeline:
    def __init__(
        self,
        models: Models,
        admission: Admission,
        claims: Claims,
        redaction: Redaction,
        compressor: Compressor,
        prefills: Prefills,
        answers: Answers,
        delivery: Delivery,
        clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        self._models = models
        self._admission = admission
        self._claims = claims
        self._redaction = redaction
        self._compressor = compressor
        self._prefills = prefills
        self._answers = answers
        self._delivery = delivery
        self._clock = clock
        self._randomness = randomness

    async def complete(self, caller: Identity, request: ChatRequest, call: Call) -> Reply:
        """Answer one chat request. Who is calling (1) the door has found out already."""
        started = self._clock()
        current().asks(request.model)
        if call.writes:
            check_sizes(request.messages)
        self._admission.refuse_known(caller)
        tokens = await self._counted(request)
        said = spoken(caller.owner, request.messages) if call.mode != "off" else []
        model = await self._models.known(request.model)

        # 2. Admit: one write, before any money is spent; session and flags are read meanwhile.
        with stage("admit"):
            admitted = await self._admission.admit(
                caller, request, call, tokens, said, model.prices
            )
        call = admitted.call
        try:
            claim = await self._claim(caller, request, call)
            if isinstance(claim, StoredAnswer):
                await self._admission.release(admitted.reservation)
                return replayed(claim)
            redactor = await self._redactor(caller, call, said, admitted.loaded)
            turn = self._turn(caller, request, admitted, said, started, redactor, model, claim)
        except BaseException:
            await asyncio.shield(self._admission.release(admitted.reservation))
            raise

        try:
            turn = await self._answers.looked_up(caller, turn, call)
            # 3. Recall what could matter, and 4. compress: select it under the budget.
            turn = await self._admission.extend(await self._with_prompt(turn, call, tokens), call)
            told = turn.prompt
            current().prompted(told.tokens_before, told.tokens_after, told.retriever)
            # 5. Complete at the upstream, streamed or whole; the ranker reads on meanwhile.
            self._prefills.begin(turn)
            response = await self._answers.answer(turn, call)
        except BaseException:
            await asyncio.shield(self._delivery.give_up(turn))
            raise

        # 6. Remember, inside the response and before its last bytes.
        return await self._delivery.reply(turn, response, call)

    async def _counted(self, request: ChatRequest) -> list[int]:
        """Tokens of each message; of long ones beside the loop: the tokenizer lets the GIL go."""
        if len(request.raw) < LARGE_BYTES:
            return self._compressor.count(request.messages)
        return await asyncio.to_thread(self._compressor.count, request.messages)

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
        admitted: Admitted,
        said: Sequence[Spoken],
        started: float,
        redactor: Redactor,
        model: KnownModel,
        claim: Claim | None,
    ) -> Turn:
        bits = self._randomness.getrandbits
        current().in_session(caller.owner, admitted.loaded.head.session)
        return Turn(
            owner=caller.owner,
            request=request,
            said=said,
            message_ids={i: new_id(started, bits) for i in range(len(said))},
            loaded=admitted.loaded,
            prompt=Prompt(request.messages),
            reservation=admitted.reservation,
            started=started,
            key=new_id(started, bits, "k"),
            receipt_id=new_id(started, bits, "r"),
            writes=admitted.call.writes,
            redactor=redactor,
            model=model,
            claim=claim,
        )

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
