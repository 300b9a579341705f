"""Step 2 of a turn: tokens and money are held before any is spent, and more as the prompt grows.

Knows the limiter, what is switched on and where sessions are found; no upstream.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from gateway.accounts.flags import Flags
from gateway.chat.call import Call
from gateway.chat.compression import Compressor
from gateway.chat.economics import Prices
from gateway.chat.estimates import Sizes, bound_of
from gateway.chat.spending import held_cost
from gateway.chat.threads import Spoken, Threads
from gateway.chat.turn import Turn
from gateway.chat.wire import ChatRequest
from gateway.identity.base import Identity
from gateway.limits.base import Reservation
from gateway.limits.limiter import Limiter
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head, Owner


@dataclass(frozen=True, slots=True)
class Admitted:
    """`call` as it may be made: without memory, where that is switched off."""

    reservation: Reservation
    loaded: Loaded
    call: Call


class Admission:
    def __init__(
        self,
        limiter: Limiter,
        threads: Threads,
        compressor: Compressor,
        sizes: Sizes,
        flags: Flags,
    ) -> None:
        self._limiter = limiter
        self._threads = threads
        self._compressor = compressor
        self._sizes = sizes
        self._flags = flags

    def refuse_known(self, caller: Identity) -> None:
        """Raises `RateLimited` for whom is known to be over a limit, before anything is counted."""
        self._limiter.refuse_known(caller.subject, 0, caller.key)

    async def admit(
        self,
        caller: Identity,
        request: ChatRequest,
        call: Call,
        tokens: Sequence[int],
        said: Sequence[Spoken],
        prices: Prices | None,
    ) -> Admitted:
        """One write; the session and the flags are read meanwhile. Raises what the limiter raises,
        and what the store does, with nothing held then."""
        held = self._tokens_held(caller, request, call, tokens)
        cost = self._cost(caller.owner, request, held, prices)
        self._limiter.refuse_known(caller.subject, held, caller.key, cost)  # before a read
        admitting = self._limiter.admit(caller.subject, held, caller.key, cost)
        if call.mode == "off":
            return Admitted(await admitting, _nothing(call), call)
        return await self._with_session(admitting, caller.owner, call, said)

    async def _with_session(
        self,
        admitting: Awaitable[Reservation],
        owner: str,
        call: Call,
        said: Sequence[Spoken],
    ) -> Admitted:
        admission = asyncio.ensure_future(admitting)
        reading = asyncio.ensure_future(self._threads.find(owner, call.session, said))
        switches = asyncio.ensure_future(self._flags.of(owner))
        await asyncio.wait({admission, reading, switches})
        unread = reading.exception()
        if not switches.result()["ENABLE_CONTEXT_MEMORY"]:
            return Admitted(admission.result(), _nothing(call), replace(call, mode="off"))
        if admission.exception() is None and unread is not None:
            await self.release(admission.result())
        return Admitted(admission.result(), reading.result(), call)

    async def extend(self, turn: Turn, call: Call) -> Turn:
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

    async def release(self, reservation: Reservation) -> None:
        """Of a request that comes to nothing."""
        await self._limiter.settle(reservation, 0)

    def _tokens_held(
        self, caller: Identity, request: ChatRequest, call: Call, tokens: Sequence[int]
    ) -> int:
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
        return bound.within(self._limiter.tokens_per_minute(caller.subject, caller.key))

    def _cost(self, owner: str, request: ChatRequest, tokens: int, prices: Prices | None) -> int:
        """What so many `tokens` of prompt and answer may cost, in micro-dollars."""
        answer = request.max_completion_tokens
        if answer is None:
            answer = self._sizes.expected(owner, request.model) * request.choices
        return held_cost(prices or self._compressor.options.prices, tokens, answer)


def _nothing(call: Call) -> Loaded:
    return Loaded(Owner(), Head(session=call.session or ""))
