"""`/v1/compress`: steps 1 to 4 of a turn in the contract that other gateways already call.

Fails open: whatever goes wrong after admission, the messages come back as they were, marked
`compression_skipped`.
"""

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Any

from gateway.accounts.flags import Flags
from gateway.chat.call import Call
from gateway.chat.compression import Compressor
from gateway.chat.conversation import conversation_of
from gateway.chat.prompt import Prompt
from gateway.chat.replies import prompt_headers
from gateway.chat.threads import Spoken, Threads, spoken
from gateway.chat.wire import ChatRequest, text_of
from gateway.identity.base import Identity
from gateway.limits.limiter import Limiter
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head, Owner
from gateway.memory.records import new_id
from gateway.redaction.redaction import Redaction
from gateway.redaction.redactor import Redactor
from gateway.telemetry.record import current

logger = logging.getLogger(__name__)


class CompressionDesk:
    def __init__(
        self,
        limiter: Limiter,
        threads: Threads,
        compressor: Compressor,
        clock: Callable[[], float],
        randomness: Random,
        flags: Flags,
        redaction: Redaction,
    ) -> None:
        self._limiter = limiter
        self._threads = threads
        self._compressor = compressor
        self._clock = clock
        self._randomness = randomness
        self._flags = flags
        self._redaction = redaction

    async def compress(
        self, caller: Identity, request: ChatRequest, call: Call, *, with_memory: bool
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The answer's fields and headers. It costs a request and no tokens of the limits.

        Where memory is switched off, none is brought in.
        """
        reservation, switches = await asyncio.gather(
            self._limiter.admit(caller.subject, 0, caller.key), self._flags.of(caller.owner)
        )
        with_memory = with_memory and switches["ENABLE_CONTEXT_MEMORY"]
        tokens = self._compressor.count(request.messages)
        try:
            redactor = await self._redaction.of(caller.owner)
            await redactor.read([text_of(one) for one in request.messages])
            prompt = await self._compressed(caller, request, call, tokens, redactor, with_memory)
        except Exception as error:  # fail open: the caller's own messages are an answer
            logger.warning("compression skipped: %s", type(error).__name__)
            prompt = self._compressor.as_sent(request.payload, request.messages, tokens)
            return _fields(prompt, skipped=True), reservation.headers()
        current().prompted(prompt.tokens_before, prompt.tokens_after, prompt.retriever)
        headers = {**prompt_headers(prompt), **redactor.headers(), **reservation.headers()}
        return _fields(prompt), headers

    async def _compressed(
        self,
        caller: Identity,
        request: ChatRequest,
        call: Call,
        tokens: list[int],
        redactor: Redactor,
        with_memory: bool,
    ) -> Prompt:
        said = spoken(caller.owner, request.messages)
        loaded = Loaded(Owner(), Head(session=call.session or ""))
        if with_memory:
            loaded = await self._threads.find(caller.owner, call.session, said)
        fixed_tokens = self._compressor.fixed_tokens(request.payload)
        conversation = conversation_of(
            caller.owner,
            request,
            tokens,
            fixed_tokens,
            said,
            self._ids(said),
            loaded,
            self._clock(),
            redactor,
        )
        return await self._compressor.compress(conversation, recall=with_memory)

    def _ids(self, said: list[Spoken]) -> dict[int, str]:
        now = self._clock()
        return {i: new_id(now, self._randomness.getrandbits) for i in range(len(said))}


def _fields(prompt: Prompt, *, skipped: bool = False) -> dict[str, Any]:
    return {
        "messages": list(prompt.messages),
        "tokens_before": prompt.tokens_before,
        "tokens_after": prompt.tokens_after,
        "tokens_saved": prompt.tokens_saved,
        "compression_ratio": _ratio(prompt),
        "compression_skipped": skipped,
        "memory": {
            "status": prompt.status,
            "retriever": prompt.retriever,
            "lines": [line.told() for line in sorted(prompt.lines, key=lambda line: line.rank)],
        },
    }


def _ratio(prompt: Prompt) -> float:
    return round(prompt.tokens_after / prompt.tokens_before, 4) if prompt.tokens_before else 1.0
